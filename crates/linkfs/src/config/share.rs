use std::time::Duration;

use linkfs_core::{
    AudienceKind, DeniedPaths, SharePolicy, parse_expiry, read_permissions as permissions,
};
use linkfs_provider::{Audience, Permissions, SharePassword};
use serde::{Deserialize, Deserializer, de};

/// `[share]` as it is written: the terms of a share for which none are given, and what is allowed at most.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Table {
    /// How long a share lasts; `None` in it for never.
    #[serde(deserialize_with = "expiry")]
    expires: Option<Option<Duration>>,
    #[serde(deserialize_with = "password")]
    password: Option<SharePassword>,
    #[serde(deserialize_with = "audience")]
    audience: Option<AudienceKind>,
    #[serde(deserialize_with = "allow")]
    allow: Option<Permissions>,
    note: Option<String>,
    /// The longest that a share may last.
    #[serde(deserialize_with = "expiry")]
    max_expires: Option<Option<Duration>>,
    /// Whether every share asks for a code.
    require_password: bool,
    /// For whom shares may be made.
    #[serde(deserialize_with = "audiences")]
    audiences: Option<Vec<AudienceKind>>,
    /// Patterns of what may not be shared.
    #[serde(deserialize_with = "deny")]
    deny: DeniedPaths,
    /// Check and write down, and share nothing.
    dry_run: bool,
    /// Where requests are written down, as it is written here.
    audit: Option<String>,
}

/// `[share]`, checked.
#[derive(Debug, Default)]
pub(super) struct ShareConfig {
    pub(super) policy: SharePolicy,
    pub(super) audit: Option<String>,
}

impl Table {
    /// The settings together: a default that is not said keeps to the ceilings, and one that is must do so too.
    ///
    /// # Errors
    /// What contradicts what, in words.
    pub(super) fn check(self) -> Result<ShareConfig, String> {
        let mut policy = SharePolicy {
            longest: self.max_expires.flatten(),
            requires_password: self.require_password,
            denied: self.deny,
            dry_run: self.dry_run,
            ..SharePolicy::default()
        };
        let defaults = &mut policy.defaults;
        defaults.note = self.note.filter(|note| !note.is_empty());
        if let Some(allow) = self.allow {
            defaults.permissions = allow;
        }
        defaults.valid_for = default_time(self.expires, defaults.valid_for, policy.longest)?;
        defaults.password = default_password(self.password, self.require_password)?;
        if let Some(audience) = default_audience(self.audience, self.audiences.as_deref())? {
            defaults.audience = audience;
        }
        policy.audiences = self.audiences;
        let audit = self.audit;
        Ok(ShareConfig { policy, audit })
    }
}

fn default_time(
    said: Option<Option<Duration>>,
    usual: Option<Duration>,
    longest: Option<Duration>,
) -> Result<Option<Duration>, String> {
    let Some(longest) = longest else {
        return Ok(said.unwrap_or(usual));
    };
    match said {
        Some(Some(time)) if time <= longest => Ok(Some(time)),
        Some(_) => Err("expires is longer than max_expires".to_owned()),
        None => Ok(Some(usual.map_or(longest, |usual| usual.min(longest)))),
    }
}

fn default_password(said: Option<SharePassword>, required: bool) -> Result<SharePassword, String> {
    match (said, required) {
        (Some(SharePassword::None), true) => {
            Err("password = \"none\" contradicts require_password".to_owned())
        }
        (Some(password), _) => Ok(password),
        (None, true) => Ok(SharePassword::Auto),
        (None, false) => Ok(SharePassword::None),
    }
}

/// `None` when every share must say for whom it is.
fn default_audience(
    said: Option<AudienceKind>,
    allowed: Option<&[AudienceKind]>,
) -> Result<Option<Audience>, String> {
    let is_allowed = |kind| allowed.is_none_or(|allowed| allowed.contains(&kind));
    match said {
        Some(kind) if !is_allowed(kind) => Err("audience is not among audiences".to_owned()),
        Some(AudienceKind::Organization) => Ok(Some(Audience::Organization)),
        None if is_allowed(AudienceKind::Anyone) => Ok(None),
        None if is_allowed(AudienceKind::Organization) => Ok(Some(Audience::Organization)),
        Some(AudienceKind::Anyone | AudienceKind::Members) | None => Ok(None),
    }
}

fn expiry<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Duration>>, D::Error> {
    let text = Text::deserialize(deserializer)?;
    parse_expiry(&text.0).map(Some).map_err(de::Error::custom)
}

fn password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SharePassword>, D::Error> {
    match Text::deserialize(deserializer)?.0.as_str() {
        "auto" => Ok(Some(SharePassword::Auto)),
        "none" => Ok(Some(SharePassword::None)),
        _ => Err(de::Error::custom("expected \"auto\" or \"none\"")),
    }
}

fn audience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AudienceKind>, D::Error> {
    match AudienceKind::parse(&Text::deserialize(deserializer)?.0) {
        Ok(AudienceKind::Members) | Err(_) => {
            Err(de::Error::custom("expected \"anyone\" or \"org\""))
        }
        Ok(kind) => Ok(Some(kind)),
    }
}

fn audiences<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<AudienceKind>>, D::Error> {
    let words = Vec::<Text>::deserialize(deserializer)?;
    let kinds = words.iter().map(|word| AudienceKind::parse(&word.0));
    let kinds: Vec<_> = kinds
        .collect::<Result<_, _>>()
        .map_err(|_| de::Error::custom("expected some of \"anyone\", \"org\", \"members\""))?;
    Ok(Some(kinds))
}

fn allow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Permissions>, D::Error> {
    let words = Vec::<Text>::deserialize(deserializer)?;
    let words: Vec<_> = words.into_iter().map(|word| word.0).collect();
    permissions(&words).map(Some).map_err(de::Error::custom)
}

fn deny<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeniedPaths, D::Error> {
    let patterns = Vec::<Text>::deserialize(deserializer)?;
    let patterns: Vec<_> = patterns.into_iter().map(|pattern| pattern.0).collect();
    DeniedPaths::new(&patterns).map_err(de::Error::custom)
}

/// A text; what else stands there is named by its type alone.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        String::deserialize(deserializer).map(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn read(text: &str) -> Result<ShareConfig, String> {
        let table: Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        table.check()
    }

    #[test]
    fn every_key_is_read() {
        let config = read(
            r#"
            expires = "12h"
            password = "auto"
            audience = "org"
            allow = ["preview"]
            note = "from linkfs"
            max_expires = "30d"
            require_password = true
            audiences = ["org", "members"]
            deny = ["*.key", "hr/**"]
            dry_run = true
            audit = "~/shares.log"
            "#,
        );
        let ShareConfig { policy, audit } = config.unwrap();
        let defaults = &policy.defaults;
        assert_eq!(defaults.valid_for, Some(DAY / 2));
        assert_eq!(defaults.password, SharePassword::Auto);
        assert_eq!(defaults.audience, Audience::Organization);
        assert!(defaults.permissions.preview && !defaults.permissions.download);
        assert_eq!(defaults.note.as_deref(), Some("from linkfs"));
        assert_eq!(policy.longest, Some(30 * DAY));
        assert!(policy.requires_password && policy.dry_run);
        assert_eq!(policy.audiences.unwrap().len(), 2);
        assert_eq!(audit.as_deref(), Some("~/shares.log"));
    }

    #[test]
    fn what_is_not_said_keeps_to_the_ceilings() {
        let defaults = |text| read(text).unwrap().policy.defaults;
        assert_eq!(defaults("").valid_for, Some(7 * DAY));
        assert_eq!(defaults("expires = 'never'").valid_for, None);
        assert_eq!(defaults("max_expires = '1d'").valid_for, Some(DAY));
        assert_eq!(defaults("max_expires = '30d'").valid_for, Some(7 * DAY));
        assert_eq!(defaults("").password, SharePassword::None);
        let asked = defaults("require_password = true").password;
        assert_eq!(asked, SharePassword::Auto);
        let inside = defaults("audiences = ['org']").audience;
        assert_eq!(inside, Audience::Organization);
        assert_eq!(
            defaults("audiences = ['members']").audience,
            Audience::Anyone
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (text, why) in [
            (
                "expires = '8d'\nmax_expires = '7d'",
                "longer than max_expires",
            ),
            (
                "expires = 'never'\nmax_expires = '7d'",
                "longer than max_expires",
            ),
            ("password = 'none'\nrequire_password = true", "contradicts"),
            (
                "audience = 'anyone'\naudiences = ['org']",
                "not among audiences",
            ),
            ("audience = 'members'", "expected \"anyone\" or \"org\""),
            ("audiences = ['all']", "expected some of"),
            ("password = 's3cret'", "expected \"auto\" or \"none\""),
            ("expires = '2027-01-01'", "expected a duration"),
            ("allow = ['fly']", "expected some of preview"),
            ("deny = ['[a']", "is no pattern"),
            ("maxexpires = '7d'", "unknown field"),
        ] {
            let refused = read(text).map(|_| ()).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
