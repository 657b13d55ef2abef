use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Plain settings that may change while the emulator runs; clones share one value.
#[derive(Clone, Debug, Default)]
pub struct Setting<T>(Arc<Mutex<T>>);

impl<T: Clone> Setting<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// A copy of the settings as they are now.
    pub fn get(&self) -> T {
        self.0.lock().expect("setting lock").clone()
    }

    pub fn set(&self, value: T) {
        *self.0.lock().expect("setting lock") = value;
    }

    /// Changes some of the settings in place.
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.lock().expect("setting lock"));
    }
}

impl<T: Clone + Serialize + DeserializeOwned> Setting<T> {
    /// Takes over the fields that `changes` names and keeps the others.
    ///
    /// # Errors
    /// When `changes` is not an object, names an unknown field or gives one a wrong type; then
    /// nothing changes.
    pub fn merge(&self, changes: &Value) -> Result<(), String> {
        let changes = changes.as_object().ok_or("expected a JSON object")?;
        let mut guard = self.0.lock().expect("setting lock");
        let mut fields = serde_json::to_value(&*guard).map_err(|error| error.to_string())?;
        let object = fields.as_object_mut().ok_or("settings are not an object")?;
        for (name, value) in changes {
            object.insert(name.clone(), value.clone());
        }
        *guard = serde_json::from_value(fields).map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Pacing;

    #[test]
    fn merging_keeps_what_is_not_named_and_refuses_the_unknown() {
        let setting = Setting::new(Pacing::default());
        setting.merge(&json!({"api_latency_ms": 5})).unwrap();
        setting.merge(&json!({"data_latency_ms": 7})).unwrap();
        assert!(setting.merge(&json!({"no_such": 1})).is_err());
        let pacing = setting.get();
        assert_eq!((pacing.api_latency_ms, pacing.data_latency_ms), (5, 7));
    }
}
