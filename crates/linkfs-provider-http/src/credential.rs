use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError, Result};
use tokio::sync::{Mutex as Gate, MutexGuard as GateGuard};
use tokio::time::Instant;

/// A login that the drive has refused is not tried again for this long: programs that touch a file a
/// second must not lock the account.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What an account's calls are authorized with: a token and what is known of it. Renewed once,
/// however many calls find it refused. A cheap handle: clones are the same credential.
pub struct Credential<T> {
    shared: Arc<Shared<T>>,
}

/// What one call is authorized with.
#[derive(Clone, Debug)]
pub struct Pass<T> {
    /// The token, as it was when the call was made.
    pub value: T,
    /// Counts replacements: who is refused with an older stamp has to try again with what is there
    /// now.
    pub stamp: u64,
}

struct Shared<T> {
    /// Held across network calls, by whoever finds out what the drive accepts now; the others wait
    /// for the outcome. Taken before `state`, never while `state` is held.
    gate: Gate<()>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: T,
    stamp: u64,
    /// Counts failed renewals: who waited for one takes its failure for an answer.
    failures: u64,
    last_failure: Option<(Instant, ProviderError)>,
}

impl<T: Clone + Send + 'static> Credential<T> {
    /// Starts with `value`, which may well be no token yet.
    pub fn new(value: T) -> Self {
        let state = State {
            value,
            stamp: 0,
            failures: 0,
            last_failure: None,
        };
        let shared = Shared {
            gate: Gate::default(),
            state: Mutex::new(state),
        };
        Credential {
            shared: Arc::new(shared),
        }
    }

    /// What to authorize a call with now.
    pub fn pass(&self) -> Pass<T> {
        let state = self.state();
        Pass {
            value: state.value.clone(),
            stamp: state.stamp,
        }
    }

    /// Uses `value` from now on.
    pub fn replace(&self, value: T) {
        let mut state = self.state();
        state.value = value;
        state.stamp += 1;
        state.last_failure = None;
    }

    /// Notes something about the value with `stamp`. It stays the same credential, and what is noted
    /// about an older one is dropped.
    pub fn note(&self, stamp: u64, change: impl FnOnce(&mut T)) {
        let mut state = self.state();
        if state.stamp == stamp {
            change(&mut state.value);
        }
    }

    /// Keeps renewals out, for who finds out something about the credential that others would find
    /// out too. Whoever held it before may have found it: look at [`Credential::pass`] again.
    pub async fn alone(&self) -> GateGuard<'_, ()> {
        self.shared.gate.lock().await
    }

    /// The pass after the one with `stamp`: somebody else's, when it has been replaced meanwhile, or
    /// else what `next` makes of the present value. The failure of a renewal answers for everyone who
    /// waited for it, and a refused login for a minute.
    ///
    /// `next` runs in a task of its own: a caller that is dropped half-way must not lose a refresh
    /// token that the drive has already replaced. It has to end by itself, as calls with a timeout
    /// do.
    ///
    /// # Errors
    /// Whatever `next` says.
    pub async fn renewed<F>(
        &self,
        stamp: u64,
        next: impl FnOnce(T) -> F + Send + 'static,
    ) -> Result<Pass<T>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let failures = self.state().failures;
        let renewing = self.clone();
        let task = tokio::spawn(async move { renewing.renew(stamp, failures, next).await });
        task.await.unwrap_or_else(|_| {
            let message = "the login was given up half-way";
            Err(ProviderError::new(ErrorKind::Unavailable, message))
        })?;
        Ok(self.pass())
    }

    async fn renew<F>(&self, stamp: u64, failures: u64, next: impl FnOnce(T) -> F) -> Result<()>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let _gate = self.alone().await;
        let now = self.pass();
        if now.stamp != stamp {
            return Ok(());
        }
        if let Some(failure) = self.standing_failure(failures) {
            return Err(failure);
        }
        match next(now.value).await {
            Ok(value) => self.replace(value),
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

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A panic cannot leave a half-made change: each is one assignment after the other.
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Credential<T> {
    fn clone(&self) -> Self {
        Credential {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for Credential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn refused(credential: &Credential<u32>, made: &Arc<AtomicU32>) -> ProviderError {
        let made = made.clone();
        let next = move |_| async move {
            made.fetch_add(1, Ordering::Relaxed);
            Err(ProviderError::new(ErrorKind::LoginExpired, "no"))
        };
        credential.renewed(0, next).await.unwrap_err()
    }

    #[tokio::test]
    async fn everyone_with_an_old_stamp_gets_the_one_renewal() {
        let credential = Credential::new(1);
        let old = credential.pass();
        let renewed = async |value| {
            let pass = credential.renewed(old.stamp, move |_| async move { Ok(value) });
            pass.await.unwrap().value
        };
        assert_eq!((renewed(2).await, renewed(3).await), (2, 2));
        credential.note(old.stamp, |value| *value = 9);
        assert_eq!(credential.pass().value, 2, "a note about an old value");
        credential.note(old.stamp + 1, |value| *value = 4);
        assert_eq!((credential.pass().value, credential.pass().stamp), (4, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_left_alone_for_a_minute() {
        let (credential, made) = (Credential::new(1), Arc::new(AtomicU32::new(0)));
        refused(&credential, &made).await;
        refused(&credential, &made).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        tokio::time::advance(REFUSED_FOR).await;
        refused(&credential, &made).await;
        assert_eq!(made.load(Ordering::Relaxed), 2);
        credential.replace(5);
        let pass = credential.renewed(1, |value| async move { Ok(value + 1) });
        assert_eq!(pass.await.unwrap().value, 6, "a new login is tried at once");
    }

    #[test]
    fn debug_text_holds_nothing_of_the_value() {
        assert_eq!(format!("{:?}", Credential::new("s3cret")), "Credential(..)");
    }
}
