use std::time::{Duration, SystemTime};

use linkfs_provider::Secret;

/// What stands between the scheme word and the token. The documents print `Bearer+token`, their own
/// examples a space as well; the wire form is a setting, and found out on the first refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchemeJoin {
    /// `Bearer token`
    Space,
    /// `Bearer+token`
    Plus,
    /// The token as it was given.
    Raw,
}

impl SchemeJoin {
    pub(crate) const ALL: [SchemeJoin; 3] = [SchemeJoin::Space, SchemeJoin::Plus, SchemeJoin::Raw];
}

/// An access token and what is known about its life.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) access: Secret<String>,
    /// Buys the next token, once.
    pub(crate) refresh: Option<Secret<String>>,
    pub(crate) issued: SystemTime,
    pub(crate) life: Life,
    /// Counts the tokens of one account on this machine: the one with the larger number is newer,
    /// whatever the clocks say.
    pub(crate) serial: u64,
    /// Whether somebody else got it: then a refusal may be older than our asking.
    pub(crate) is_adopted: bool,
}

/// How long a token holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Every successful call starts the time anew.
    Sliding(Duration),
    /// It ends, whatever is done with it.
    Fixed(Duration),
}

/// Session tokens live 20 minutes after the last successful call.
pub(crate) const SESSION_LIFE: Life = Life::Sliding(Duration::from_secs(20 * 60));

impl Token {
    /// A ready token from the settings.
    pub(crate) fn given(access: Secret<String>, now: SystemTime) -> Self {
        Token {
            access,
            refresh: None,
            issued: now,
            life: SESSION_LIFE,
            serial: 0,
            is_adopted: false,
        }
    }

    /// Whether the token should be renewed before it is used again: at 80 % of its life, which for
    /// the usual half hour leaves six minutes for a drive that cannot renew it right now.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        match self.life {
            Life::Sliding(_) => false,
            Life::Fixed(life) => self.age(now) >= life.mul_f64(0.8),
        }
    }

    /// Whether a refusal without a reason may come from the token's age.
    pub(crate) fn is_past_half_life(&self, now: SystemTime) -> bool {
        let (Life::Sliding(life) | Life::Fixed(life)) = self.life;
        self.age(now) > life / 2
    }

    /// The value of the `Authorization` header; `scheme` is for tokens that name none themselves.
    pub(crate) fn header(&self, scheme: &str, join: SchemeJoin) -> Secret<String> {
        let token = self.access.expose();
        let (scheme, bare) = split_scheme(token).unwrap_or((scheme, token));
        Secret::new(match join {
            SchemeJoin::Space => format!("{scheme} {bare}"),
            SchemeJoin::Plus => format!("{scheme}+{bare}"),
            SchemeJoin::Raw => token.clone(),
        })
    }

    /// The token without a scheme word: what must not be shown.
    pub(crate) fn bare(&self) -> &str {
        let token = self.access.expose();
        split_scheme(token).map_or(token, |(_, bare)| bare)
    }

    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.issued).unwrap_or_default()
    }
}

fn split_scheme(token: &str) -> Option<(&str, &str)> {
    ["Bearer", "AT"].into_iter().find_map(|scheme| {
        let (word, rest) = token.split_at_checked(scheme.len())?;
        let bare = rest.strip_prefix([' ', '+'])?;
        (word.eq_ignore_ascii_case(scheme) && !bare.is_empty()).then_some((word, bare))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token::given(Secret::new(text.into()), SystemTime::UNIX_EPOCH)
    }

    fn check(text: &str, join: SchemeJoin, header: &str) {
        assert_eq!(token(text).header("Bearer", join).expose(), header);
    }

    #[test]
    fn scheme_and_token_are_joined_as_set() {
        check("10f88aa1", SchemeJoin::Space, "Bearer 10f88aa1");
        check("10f88aa1", SchemeJoin::Plus, "Bearer+10f88aa1");
        check("10f88aa1", SchemeJoin::Raw, "10f88aa1");
    }

    #[test]
    fn a_token_with_a_scheme_keeps_its_own() {
        check("AT 9c0d", SchemeJoin::Space, "AT 9c0d");
        check("AT 9c0d", SchemeJoin::Plus, "AT+9c0d");
        check("AT+9c0d", SchemeJoin::Space, "AT 9c0d");
        check("Bearer+9c0d", SchemeJoin::Space, "Bearer 9c0d");
        check("AT 9c0d", SchemeJoin::Raw, "AT 9c0d");
        check("ATTIC", SchemeJoin::Space, "Bearer ATTIC");
        check("AT ", SchemeJoin::Plus, "Bearer+AT ");
        assert_eq!(token("AT+9c0d").bare(), "9c0d");
    }

    #[test]
    fn only_a_fixed_life_is_renewed_early() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut token = token("t");
        assert!(!token.is_due(at(100_000)));
        assert!(token.is_past_half_life(at(601)) && !token.is_past_half_life(at(600)));
        token.life = Life::Fixed(Duration::from_secs(1800));
        assert!(token.is_due(at(1440)) && !token.is_due(at(1439)));
    }
}
