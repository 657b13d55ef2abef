use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::app_signature;
use super::call::Call;
use super::emulator::Credentials;
use super::knobs::{AuthScheme, Knobs};
use crate::digest::sha256_hex;

/// Who may call: the tokens that hold, and how more of them are got.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tokens: HashMap<String, Token>,
    refresh_tokens: HashMap<String, String>,
    issued: u64,
}

#[derive(Clone, Debug)]
struct Token {
    kind: TokenKind,
    renewed: Timestamp,
    is_revoked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Handed out ready.
    Ready,
    Session,
    Carrier,
}

impl Accounts {
    pub(crate) fn new(credentials: Credentials, now: Timestamp) -> Self {
        let mut state = State::default();
        let token = Token {
            kind: TokenKind::Ready,
            renewed: now,
            is_revoked: false,
        };
        state
            .tokens
            .insert(bare(&credentials.token).1.into(), token);
        Self {
            credentials,
            state: Mutex::new(state),
        }
    }

    /// Whether the call may go on; a session that may is renewed.
    pub(crate) fn admits(
        &self,
        call: &Call,
        knobs: &Knobs,
        now: Timestamp,
        allows_app: bool,
    ) -> bool {
        let Some(header) = call.header("authorization") else {
            return false;
        };
        if header.starts_with("HMAC-SHA256 ") {
            return allows_app && app_signature::verifies(call, &self.credentials, knobs, now);
        }
        let (scheme, token) = bare(header);
        let fits = knobs.auth_scheme == AuthScheme::Any || knobs.auth_scheme == scheme;
        fits && self.admits_token(token, knobs, now)
    }

    fn admits_token(&self, token: &str, knobs: &Knobs, now: Timestamp) -> bool {
        let mut state = self.state();
        let Some(token) = state.tokens.get_mut(token) else {
            return false;
        };
        let holds = token.holds(knobs, now);
        if holds && token.kind != TokenKind::Carrier {
            token.renewed = now;
        }
        holds
    }

    pub(crate) fn issue(&self, kind: TokenKind, now: Timestamp) -> String {
        let mut state = self.state();
        state.issued += 1;
        let text = format!("{}\n{}", self.credentials.token, state.issued);
        let token = sha256_hex(text.as_bytes())[..32].to_owned();
        state.tokens.insert(
            token.clone(),
            Token {
                kind,
                renewed: now,
                is_revoked: false,
            },
        );
        token
    }

    /// A refresh token that stands for the access token, good for one use.
    pub(crate) fn issue_refresh(&self, access: &str) -> String {
        let refresh = format!("rt-{}", &sha256_hex(access.as_bytes())[..16]);
        self.state()
            .refresh_tokens
            .insert(refresh.clone(), access.into());
        refresh
    }

    /// Trades a refresh token in; gives the access token it stood for.
    pub(crate) fn take_refresh(&self, refresh: &str) -> Option<String> {
        self.state().refresh_tokens.remove(refresh)
    }

    /// The token of a call that may be exchanged for a new one.
    pub(crate) fn refreshable(
        &self,
        call: &Call,
        knobs: &Knobs,
        now: Timestamp,
    ) -> Option<(String, TokenKind)> {
        let (_, text) = bare(call.header("authorization")?);
        let state = self.state();
        let token = state.tokens.get(text)?;
        let is_fresh = !token.is_revoked && (knobs.refreshes_expired || token.holds(knobs, now));
        is_fresh.then(|| (text.to_owned(), token.kind))
    }

    pub(crate) fn forget(&self, token: &str) {
        self.state().tokens.remove(bare(token).1);
    }

    /// Ends every token as time would; they may be refreshed if expired ones may.
    pub(crate) fn expire_all(&self) {
        let mut state = self.state();
        state
            .tokens
            .values_mut()
            .for_each(|token| token.renewed = Timestamp::MIN);
    }

    /// Ends every token for good.
    pub(crate) fn revoke_all(&self) {
        let mut state = self.state();
        state
            .tokens
            .values_mut()
            .for_each(|token| token.is_revoked = true);
        state.refresh_tokens.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("account lock")
    }
}

impl Token {
    fn holds(&self, knobs: &Knobs, now: Timestamp) -> bool {
        let life = match self.kind {
            TokenKind::Ready => knobs.token_life_s,
            TokenKind::Session => Some(knobs.session_life_s),
            TokenKind::Carrier => Some(knobs.carrier_life_s),
        };
        let was_ended = self.is_revoked || self.renewed == Timestamp::MIN;
        !was_ended && life.is_none_or(|life| now < self.renewed + Duration::from_secs(life))
    }
}

/// Takes the scheme word off a header or a configured token.
pub(crate) fn bare(header: &str) -> (AuthScheme, &str) {
    for word in ["Bearer", "AT"] {
        if let Some(rest) = header.strip_prefix(word) {
            if let Some(token) = rest.strip_prefix(' ') {
                return (AuthScheme::Space, token);
            }
            if let Some(token) = rest.strip_prefix('+') {
                return (AuthScheme::Plus, token);
            }
        }
    }
    (AuthScheme::Raw, header)
}
