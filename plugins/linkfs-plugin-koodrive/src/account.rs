use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ProviderError, Result};
use tokio::sync::Mutex as Gate;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::client::{Authorization, Call, Client, Refusal};
use crate::config::{AuthMode, Login};
use crate::envelope::Envelope;
use crate::error_codes::LoginVerdict;
use crate::login;
use crate::redactor::Redactor;
use crate::token::{SchemeJoin, Token};
use crate::token_store::TokenStore;

/// A login that the drive has refused is not tried again for this long: programs that touch a file a
/// second must not lock the account.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// One account: makes calls with its authorization, and renews that when the drive refuses it.
#[derive(Debug)]
pub(crate) struct Account {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    mode: AuthMode,
    store: TokenStore,
    /// Held across network calls, by whoever finds out what the drive accepts now; the others wait
    /// for the outcome. Taken before `state`, never while `state` is held.
    gate: Gate<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    join: SchemeJoin,
    /// Whether `join` is more than a setting: a call succeeded with it, or no other does better.
    is_join_known: bool,
    /// Counts changes of `token` and `join`: who was refused with an older stamp has to try again
    /// with what is there now.
    stamp: u64,
    /// Counts failed renewals: who waited for one takes its failure for an answer.
    failures: u64,
    last_failure: Option<(Instant, ProviderError)>,
    last_success: Instant,
}

/// What one call is authorized with.
#[derive(Debug)]
struct Pass {
    token: Option<Token>,
    join: SchemeJoin,
    is_join_known: bool,
    stamp: u64,
}

impl Account {
    /// Opens the account; the network is not asked.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(setup: Login, state_dir: &Path) -> Result<Self> {
        let redactor = Redactor::new(setup.auth.secrets());
        let owner = setup.auth.fingerprint(setup.endpoint.as_str());
        let client = Client::new(setup.endpoint, setup.identity, redactor)?;
        let store = TokenStore::new(state_dir, owner);
        let kept = match setup.auth {
            AuthMode::Session { .. } | AuthMode::Carrier { .. } => store.load(),
            AuthMode::Token { .. } | AuthMode::App(_) => None,
        };
        if let Some(kept) = &kept {
            learn(&client, kept);
        }
        let state = State {
            token: kept.or_else(|| setup.auth.given(SystemTime::now())),
            join: setup.scheme_join,
            is_join_known: false,
            stamp: 0,
            failures: 0,
            last_failure: None,
            last_success: Instant::now(),
        };
        let shared = Arc::new(Shared {
            client,
            mode: setup.auth,
            store,
            gate: Gate::default(),
            state: Mutex::new(state),
        });
        Ok(Account { shared })
    }

    /// The client, for what is known without a call.
    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    /// When a call last succeeded.
    pub(crate) fn last_success(&self) -> Instant {
        self.shared.state().last_success
    }

    /// Makes `call`; when the drive refuses the login, renews that once and makes it once more.
    ///
    /// # Errors
    /// Whatever the drive says; `LoginExpired` when renewing did not help.
    pub(crate) async fn call(&self, call: &Call) -> Result<Envelope> {
        let pass = self.pass().await?;
        match self.shared.send(call, &pass).await {
            Ok(answer) => Ok(answer),
            Err(refusal) if self.blames_login(&refusal, &pass) => {
                self.call_again(call, pass, refusal).await
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    async fn call_again(&self, call: &Call, pass: Pass, refusal: Refusal) -> Result<Envelope> {
        if refusal.login == LoginVerdict::Refused
            && let Some(answer) = self.shared.try_other_joins(call, &pass).await
        {
            return answer;
        }
        let pass = match self.shared.mode {
            // The refusal has set our clock by the drive's: the next signature may be better.
            AuthMode::App(_) => pass,
            AuthMode::Token { .. } if self.shared.state().stamp == pass.stamp => {
                return Err(self.shared.mode.login_over(&refusal.error));
            }
            _ => self.renewed(pass.stamp).await?,
        };
        let answer = self.shared.send(call, &pass).await;
        answer.map_err(|refusal| match refusal.login {
            LoginVerdict::Refused => self.shared.mode.login_over(&refusal.error),
            _ => refusal.error,
        })
    }

    /// Whether a new login could turn the refusal. One without a reason is worth a try only when the
    /// token is old.
    fn blames_login(&self, refusal: &Refusal, pass: &Pass) -> bool {
        let can_renew = !matches!(self.shared.mode, AuthMode::Token { .. } | AuthMode::App(_));
        let is_old = |token: &Token| token.is_past_half_life(SystemTime::now());
        match refusal.login {
            LoginVerdict::Refused => true,
            LoginVerdict::Unclear => can_renew && pass.token.as_ref().is_some_and(is_old),
            LoginVerdict::Fine => false,
        }
    }

    /// What to authorize the next call with: logs in first when there is no token, and renews one
    /// that is about to end.
    async fn pass(&self) -> Result<Pass> {
        let pass = self.shared.pass();
        if matches!(self.shared.mode, AuthMode::App(_)) {
            return Ok(pass);
        }
        match &pass.token {
            None => self.renewed(pass.stamp).await,
            // A token that is about to end holds still: without a new one the call may succeed.
            Some(token) if token.is_due(SystemTime::now()) => {
                let renewed = self.renewed(pass.stamp).await;
                Ok(renewed.unwrap_or(pass))
            }
            Some(_) => Ok(pass),
        }
    }

    /// The pass after the one with `stamp`. The work is a task of its own: a caller that is dropped
    /// half-way must not lose a refresh token that the drive has already replaced. The task ends by
    /// itself, with the client's timeout at the latest.
    async fn renewed(&self, stamp: u64) -> Result<Pass> {
        let shared = self.shared.clone();
        let failures = shared.state().failures;
        let task = tokio::spawn(async move { shared.renew(stamp, failures).await });
        task.await.unwrap_or_else(|_| {
            let message = "the login was given up half-way";
            Err(ProviderError::new(ErrorKind::Unavailable, message))
        })?;
        Ok(self.shared.pass())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single assignment: a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) -> Pass {
        let state = self.state();
        Pass {
            token: state.token.clone(),
            join: state.join,
            is_join_known: state.is_join_known,
            stamp: state.stamp,
        }
    }

    async fn send(&self, call: &Call, pass: &Pass) -> Result<Envelope, Refusal> {
        let authorization = match (&self.mode, &pass.token) {
            (AuthMode::App(key), _) => Authorization::Signed(key),
            (_, Some(token)) => Authorization::Header(token.header(self.mode.scheme(), pass.join)),
            (_, None) => Authorization::None,
        };
        let answer = self.client.send(call, &authorization).await;
        if answer.is_ok() {
            let mut state = self.state();
            state.last_success = Instant::now();
            // A late answer to an older pass says nothing of the present one.
            state.is_join_known |= state.stamp == pass.stamp;
        }
        answer
    }

    /// Makes `call` with the other ways to join scheme and token, once in the account's life and
    /// only while none has succeeded. `None` when that changed nothing for this call.
    async fn try_other_joins(&self, call: &Call, pass: &Pass) -> Option<Result<Envelope>> {
        let token = pass.token.as_ref().filter(|_| !pass.is_join_known)?;
        let _gate = self.gate.lock().await;
        let now = self.pass();
        if now.stamp != pass.stamp || now.is_join_known {
            return None;
        }
        let header = |join| token.header(self.mode.scheme(), join);
        let mut tried = vec![header(pass.join)];
        for join in SchemeJoin::ALL {
            if tried.contains(&header(join)) {
                continue;
            }
            tried.push(header(join));
            let authorization = Authorization::Header(header(join));
            match self.client.send(call, &authorization).await {
                Err(refusal) if refusal.login == LoginVerdict::Refused => {}
                // The drive that cannot answer has not said what it thinks of the login.
                Err(refusal) if !refusal.is_told => return Some(Err(refusal.error)),
                answer => {
                    self.choose(join);
                    return Some(answer.map_err(|refusal| refusal.error));
                }
            }
        }
        self.state().is_join_known = true;
        None
    }

    fn choose(&self, join: SchemeJoin) {
        info!(?join, "the drive takes the token written this way");
        let mut state = self.state();
        state.join = join;
        state.is_join_known = true;
        state.stamp += 1;
        state.last_success = Instant::now();
    }

    /// Replaces the token with `stamp`, unless somebody did, or failed to, since `failures` was read.
    async fn renew(&self, stamp: u64, failures: u64) -> Result<()> {
        let _gate = self.gate.lock().await;
        let now = self.pass();
        if now.stamp != stamp {
            return Ok(());
        }
        if let Some(failure) = self.standing_failure(failures) {
            return Err(failure);
        }
        let old = now.token.as_ref();
        match login::next_token(&self.mode, &self.client, old, now.join).await {
            Ok(token) => self.adopt(token),
            Err(failure) => {
                let mut state = self.state();
                state.failures += 1;
                state.last_failure = Some((Instant::now(), failure.clone()));
                return Err(failure);
            }
        }
        Ok(())
    }

    /// A failure that answers for a renewal asked for when `failures` were known.
    fn standing_failure(&self, failures: u64) -> Option<ProviderError> {
        let state = self.state();
        let (at, failure) = state.last_failure.as_ref()?;
        let is_refused = failure.kind == ErrorKind::LoginExpired && at.elapsed() < REFUSED_FOR;
        (is_refused || state.failures != failures).then(|| failure.clone())
    }

    /// Uses `token` from now on, once it is kept: what was used and then lost cannot be renewed.
    fn adopt(&self, token: Token) {
        learn(&self.client, &token);
        // A few hundred bytes, at most every few minutes: not worth a thread of its own.
        if let Err(error) = self.store.save(&token) {
            warn!(%error, "the new token cannot be kept: the next start may need a new login");
        }
        let mut state = self.state();
        state.token = Some(token);
        state.stamp += 1;
        state.last_failure = None;
    }
}

fn learn(client: &Client, token: &Token) {
    client.redactor.learn(token.bare());
    if let Some(refresh) = &token.refresh {
        client.redactor.learn(refresh.expose());
    }
}
