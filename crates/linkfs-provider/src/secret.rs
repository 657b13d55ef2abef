use std::fmt;

use serde::{Deserialize, Deserializer};

/// A value that must never be printed: a token, a password, a signed header.
///
/// It hides by type: `Debug` shows a placeholder, there is no `Display` and no `Serialize`, so no log
/// filter can be forgotten. The value leaves through [`Secret::expose`] only, which a search finds.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// The hidden value, for the one place that sends it where it belongs.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The hidden value, given up.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Secret)
    }
}

/// On the wire it is the value itself.
#[cfg(test)]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Secret<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_shows_nothing_of_the_value() {
        let shown = format!("{:?} {:#?}", Secret::new("hunter2"), Some(Secret::new(42)));
        assert!(
            !shown.contains("hunter2") && !shown.contains("42"),
            "{shown}"
        );
        assert!(shown.contains("Secret(..)"));
    }
}
