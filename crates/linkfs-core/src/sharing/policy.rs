//! What the configuration allows: defaults for what is not said, and ceilings that nobody gets over.

use std::time::Duration;

use linkfs_provider::{Audience, Permissions, SharePassword, ShareTerms};

use super::denied::DeniedPaths;
use super::terms::AudienceKind;
use crate::{Error, Result};

/// A share ends after a week unless somebody says otherwise: a link that is forgotten does no harm for long.
const USUAL_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// What may be shared, and how.
#[derive(Clone, Debug)]
pub struct SharePolicy {
    /// The terms of a share for which none are given.
    pub defaults: ShareTerms,
    /// The longest time that a share may last.
    pub longest: Option<Duration>,
    /// Whether every share must ask for a code.
    pub requires_password: bool,
    /// For whom shares may be made; `None` for everybody.
    pub audiences: Option<Vec<AudienceKind>>,
    /// What may not be shared.
    pub denied: DeniedPaths,
    /// Whether shares are checked and written down, and neither made, changed nor revoked.
    pub dry_run: bool,
}

impl Default for SharePolicy {
    fn default() -> Self {
        SharePolicy {
            defaults: ShareTerms {
                valid_for: Some(USUAL_TIME),
                password: SharePassword::None,
                audience: Audience::Anyone,
                // What a person who gets a link expects to be able to do, and every drive can grant.
                permissions: Permissions {
                    preview: true,
                    download: true,
                    edit: false,
                    save: false,
                },
                note: None,
            },
            longest: None,
            requires_password: false,
            audiences: None,
            denied: DeniedPaths::default(),
            dry_run: false,
        }
    }
}

impl SharePolicy {
    /// Whether these terms are allowed for the item at `path`.
    ///
    /// # Errors
    /// `Forbidden`, saying by which setting.
    pub(crate) fn check(&self, path: &str, is_folder: bool, terms: &ShareTerms) -> Result<()> {
        if let Some(why) = self.denied.refusal(path, is_folder) {
            return Err(forbidden(&why));
        }
        self.check_time(terms)?;
        if self.requires_password && terms.password == SharePassword::None {
            return Err(forbidden(
                "require_password asks for password=auto or a code",
            ));
        }
        let audience = AudienceKind::of(&terms.audience);
        match &self.audiences {
            Some(allowed) if !allowed.contains(&audience) => {
                let allowed: Vec<_> = allowed.iter().map(|kind| kind.word()).collect();
                let allowed = allowed.join(", ");
                Err(forbidden(&format!("audiences allows {allowed} only")))
            }
            _ => Ok(()),
        }
    }

    fn check_time(&self, terms: &ShareTerms) -> Result<()> {
        let Some(longest) = self.longest else {
            return Ok(());
        };
        match terms.valid_for {
            Some(time) if time <= longest => Ok(()),
            _ => Err(forbidden(&format!(
                "max_expires allows {} at most",
                in_words(longest)
            ))),
        }
    }
}

fn forbidden(why: &str) -> Error {
    Error::Forbidden(format!("the configuration forbids this share: {why}"))
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        days if days % 86400 == 0 => format!("{}d", days / 86400),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::Secret;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn check(policy: &SharePolicy, change: impl FnOnce(&mut ShareTerms), why: Option<&str>) {
        let mut terms = policy.defaults.clone();
        change(&mut terms);
        match (policy.check("a/b", false, &terms), why) {
            (Ok(()), None) => {}
            (Err(Error::Forbidden(words)), Some(why)) if words.contains(why) => {}
            (result, _) => panic!("{terms:?}: {result:?}, expected {why:?}"),
        }
    }

    #[test]
    fn without_settings_everything_is_allowed() {
        let policy = SharePolicy::default();
        check(&policy, |_| (), None);
        check(&policy, |terms| terms.valid_for = None, None);
    }

    #[test]
    fn what_is_over_a_ceiling_is_refused_by_its_name() {
        let policy = SharePolicy {
            longest: Some(30 * DAY),
            requires_password: true,
            audiences: Some(vec![AudienceKind::Organization, AudienceKind::Members]),
            ..SharePolicy::default()
        };
        let allowed = |terms: &mut ShareTerms| {
            terms.password = SharePassword::Given(Secret::new("Zx81kk02".to_owned()));
            terms.audience = Audience::Organization;
        };
        check(&policy, allowed, None);
        let with = |more: fn(&mut ShareTerms)| {
            move |terms: &mut ShareTerms| {
                allowed(terms);
                more(terms);
            }
        };
        check(
            &policy,
            with(|terms| terms.valid_for = Some(30 * DAY)),
            None,
        );
        let too_long = Some("max_expires allows 30d at most");
        check(
            &policy,
            with(|terms| terms.valid_for = Some(31 * DAY)),
            too_long,
        );
        check(&policy, with(|terms| terms.valid_for = None), too_long);
        let bare = with(|terms| terms.password = SharePassword::None);
        check(&policy, bare, Some("require_password"));
        let public = with(|terms| terms.audience = Audience::Anyone);
        check(&policy, public, Some("audiences allows org, members only"));
    }

    #[test]
    fn a_denied_path_is_refused_by_its_pattern() {
        let policy = SharePolicy {
            denied: DeniedPaths::new(&["a/*".to_owned()]).unwrap(),
            ..SharePolicy::default()
        };
        check(&policy, |_| (), Some("deny = \"a/*\" covers it"));
    }

    #[test]
    fn times_are_told_in_the_largest_unit_that_fits() {
        for (seconds, words) in [(86400 * 3, "3d"), (7200, "2h"), (5400, "90m"), (61, "61s")] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
