use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::answer::Failure;
use super::emulator::Credentials;
use super::knobs::{Knobs, Rotation};
use crate::digest::sha256_hex;

/// Who may call: the tokens that hold, and how more of them are got.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// Codes of the browser step, with the address each is good for.
    codes: HashMap<String, String>,
    /// The `jti` of assertions that were taken.
    assertions: Vec<String>,
    issued: u64,
    is_handed_out: bool,
}

#[derive(Debug)]
struct Access {
    issued: Timestamp,
    /// Handed out ready, so it has a life of its own.
    is_ready: bool,
    has_ended: bool,
    /// The refresh token that came with it.
    refresh: String,
}

#[derive(Debug)]
struct Refresh {
    issued: Timestamp,
    /// The refresh token that this one was traded for, until this one is used.
    predecessor: Option<String>,
}

/// What the token call gives.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Accounts {
    pub(crate) fn new(credentials: Credentials, now: Timestamp) -> Self {
        let mut state = State::default();
        state.add_refresh(&credentials.refresh_token, None, now);
        let ready = Access {
            issued: now,
            is_ready: true,
            has_ended: false,
            refresh: credentials.refresh_token.clone(),
        };
        state.access.insert(credentials.token.clone(), ready);
        let code = credentials.auth_code.clone();
        state.codes.insert(code, credentials.redirect_uri.clone());
        Self {
            credentials,
            state: Mutex::new(state),
        }
    }

    /// Whether a call with this `Authorization` header may go on.
    pub(crate) fn admit(
        &self,
        header: Option<&str>,
        knobs: &Knobs,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let invalid = || Failure::new(401, "AccessTokenInvalid", "AccessToken is invalid");
        let (scheme, token) = header
            .and_then(|header| header.split_once(' '))
            .ok_or_else(invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(invalid());
        }
        let mut state = self.state();
        let access = state.access.get(token).ok_or_else(invalid)?;
        if !access.holds(knobs, now) {
            let text = "AccessToken is expired";
            return Err(Failure::new(401, "AccessTokenExpired", text));
        }
        let came_with = access.refresh.clone();
        // The ready token did not come from a trade: its use says nothing.
        if !access.is_ready {
            state.drop_predecessor(&came_with);
        }
        Ok(())
    }

    /// Trades a refresh token in.
    pub(crate) fn refresh(&self, token: &str, knobs: &Knobs, now: Timestamp) -> Option<Grant> {
        let mut state = self.state();
        let old = state.refresh.get(token)?;
        let life = knobs.refresh_life_s.map(Duration::from_secs);
        if life.is_some_and(|life| now >= old.issued + life) {
            return None;
        }
        state.drop_predecessor(token);
        let predecessor = match knobs.rotation {
            Rotation::Never => {
                let access = self.new_token(&mut state, &self.credentials.token);
                return Some(state.add_access(access, token, now));
            }
            Rotation::AtOnce => {
                state.refresh.remove(token);
                None
            }
            Rotation::WhenNewIsUsed => Some(token.to_owned()),
        };
        Some(self.grant(&mut state, predecessor, now))
    }

    /// A new pair of tokens, for a person or program that has proved who it is.
    pub(crate) fn sign_in(&self, now: Timestamp) -> Grant {
        self.grant(&mut self.state(), None, now)
    }

    /// A code as the browser step brings it.
    pub(crate) fn new_code(&self, redirect_uri: &str) -> String {
        let mut state = self.state();
        let code = self.new_token(&mut state, &self.credentials.auth_code);
        state.codes.insert(code.clone(), redirect_uri.into());
        code
    }

    /// Takes a code, which is good for one use and one address.
    pub(crate) fn take_code(&self, code: &str, redirect_uri: &str) -> bool {
        let mut state = self.state();
        let fits = state.codes.get(code).is_some_and(|uri| uri == redirect_uri);
        fits && state.codes.remove(code).is_some()
    }

    /// Notes the `jti` of an assertion; false when it was used before.
    pub(crate) fn take_assertion(&self, id: &str) -> bool {
        let mut state = self.state();
        let is_new = !state.assertions.iter().any(|used| used == id);
        state.assertions.push(id.into());
        is_new
    }

    /// A refresh token for one more user of the drive: the configured one for the first, so that
    /// no two trade in the same.
    pub(crate) fn hand_out(&self, now: Timestamp) -> String {
        let mut state = self.state();
        let ready = &self.credentials.refresh_token;
        if !state.is_handed_out && state.refresh.contains_key(ready) {
            state.is_handed_out = true;
            return ready.clone();
        }
        let token = self.new_token(&mut state, ready);
        state.add_refresh(&token, None, now);
        token
    }

    /// Ends every access token as time would.
    pub(crate) fn expire_all(&self) {
        let mut state = self.state();
        let all = state.access.values_mut();
        all.for_each(|access| access.has_ended = true);
    }

    /// Ends every token for good.
    pub(crate) fn revoke_all(&self) {
        self.state().refresh.clear();
        self.expire_all();
    }

    fn grant(&self, state: &mut State, predecessor: Option<String>, now: Timestamp) -> Grant {
        let refresh = self.new_token(state, &self.credentials.refresh_token);
        state.add_refresh(&refresh, predecessor, now);
        let access = self.new_token(state, &self.credentials.token);
        state.add_access(access, &refresh, now)
    }

    /// New tokens begin with the configured one, so that a search for it finds them all.
    fn new_token(&self, state: &mut State, like: &str) -> String {
        state.issued += 1;
        let secret = &self.credentials.signing_secret;
        let hash = sha256_hex(format!("{secret}\n{like}\n{}", state.issued).as_bytes());
        format!("{like}.{}", &hash[..24])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("account lock")
    }
}

impl State {
    fn add_refresh(&mut self, token: &str, predecessor: Option<String>, issued: Timestamp) {
        let refresh = Refresh {
            issued,
            predecessor,
        };
        self.refresh.insert(token.into(), refresh);
    }

    fn add_access(&mut self, token: String, refresh: &str, issued: Timestamp) -> Grant {
        let access = Access {
            issued,
            is_ready: false,
            has_ended: false,
            refresh: refresh.into(),
        };
        self.access.insert(token.clone(), access);
        Grant {
            access: token,
            refresh: refresh.into(),
        }
    }

    /// The new refresh token is in use: the one it came from ends.
    fn drop_predecessor(&mut self, refresh: &str) {
        let predecessor = self
            .refresh
            .get_mut(refresh)
            .and_then(|refresh| refresh.predecessor.take());
        if let Some(predecessor) = predecessor {
            self.refresh.remove(&predecessor);
        }
    }
}

impl Access {
    fn holds(&self, knobs: &Knobs, now: Timestamp) -> bool {
        let life = if self.is_ready {
            knobs.token_life_s
        } else {
            Some(knobs.access_life_s)
        };
        let is_young = life.is_none_or(|life| now < self.issued + Duration::from_secs(life));
        !self.has_ended && is_young
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rotation: Rotation, uses_new_access: bool, old_works: bool) {
        let (accounts, now) = (
            Accounts::new(Credentials::default(), Timestamp::UNIX_EPOCH),
            Timestamp::UNIX_EPOCH,
        );
        let knobs = Knobs {
            rotation,
            ..Knobs::default()
        };
        let old = accounts.credentials.refresh_token.clone();
        let grant = accounts.refresh(&old, &knobs, now).unwrap();
        if uses_new_access {
            let header = format!("Bearer {}", grant.access);
            accounts.admit(Some(&header), &knobs, now).unwrap();
        }
        assert_eq!(accounts.refresh(&old, &knobs, now).is_some(), old_works);
        assert!(accounts.refresh(&grant.refresh, &knobs, now).is_some());
    }

    #[test]
    fn an_old_refresh_token_ends_as_the_knob_says() {
        check(Rotation::AtOnce, false, false);
        check(Rotation::AtOnce, true, false);
        check(Rotation::WhenNewIsUsed, false, true);
        check(Rotation::WhenNewIsUsed, true, false);
        check(Rotation::Never, true, true);
    }

    #[test]
    fn each_new_user_gets_a_refresh_token_of_its_own() {
        let now = Timestamp::UNIX_EPOCH;
        let accounts = Accounts::new(Credentials::default(), now);
        let (one, other) = (accounts.hand_out(now), accounts.hand_out(now));
        assert_eq!(one, accounts.credentials.refresh_token);
        assert_ne!(one, other);
        assert!(accounts.refresh(&other, &Knobs::default(), now).is_some());
    }
}
