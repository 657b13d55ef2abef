use std::sync::Arc;
use std::time::Duration;

use linkfs_emulator::{Action, ROOT_ID, RetryAfter, Rule, Tree};
use linkfs_provider::{ErrorKind, ItemId, Provider, ProviderError};
use tokio::task::{JoinSet, yield_now};

use crate::rig::{Rig, Start, link};

/// What a provider is asked.
#[derive(Clone, Copy, Debug)]
enum Ask {
    List,
    Stat,
    Link,
    Usage,
}

const ASKS: [Ask; 4] = [Ask::List, Ask::Stat, Ask::Link, Ask::Usage];

/// A rig with one file, and the file's id.
fn one_file(start: Start) -> (Rig, ItemId) {
    let tree = Tree::new();
    let node = tree.add_generated(ROOT_ID, "file", 1, 10);
    let rig = start(tree);
    let id = rig.id(&node);
    (rig, id)
}

impl Ask {
    async fn ask(self, provider: &dyn Provider, file: &ItemId) -> Result<(), ProviderError> {
        match self {
            Ask::List => provider.list(&provider.about().root, None).await.map(drop),
            Ask::Stat => provider.stat(file).await.map(drop),
            Ask::Link => link(provider, file).await.map(drop),
            Ask::Usage => provider.usage().await.map(drop),
        }
    }

    /// The emulator's name for the call behind it.
    fn call(self, rig: &Rig) -> &'static str {
        let names = rig.drive.calls();
        match self {
            Ask::List => names.list,
            Ask::Stat => names.stat,
            Ask::Link => names.sign,
            Ask::Usage => names.usage,
        }
    }
}

/// What each question ends with while the drive fails like this.
async fn failing(start: Start, action: Action) -> Vec<(Ask, ProviderError)> {
    let (rig, file) = one_file(start);
    let mut errors = Vec::new();
    for ask in ASKS {
        let provider = rig.open().await;
        let before = ask.ask(&*provider, &file).await;
        assert_eq!(before, Ok(()), "{ask:?} before anything fails");
        let rule = Rule::on(ask.call(&rig), action.clone());
        rig.drive.faults().add(rule);
        let error = ask.ask(&*provider, &file).await;
        errors.push((ask, error.expect_err(&format!("{ask:?} with {action:?}"))));
        rig.drive.faults().clear();
        let after = ask.ask(&*provider, &file).await;
        assert_eq!(after, Ok(()), "{ask:?} after {action:?}");
    }
    errors
}

pub(crate) async fn a_failure_has_its_kind(start: Start) {
    let status = |code| Action::Status {
        code,
        retry_after: None,
        body: None,
    };
    let garbage = |body: Option<&str>| Action::Garbage {
        body: body.map(str::to_owned),
    };
    for (action, kind) in [
        (status(429), ErrorKind::RateLimited),
        (status(500), ErrorKind::Unavailable),
        (status(503), ErrorKind::Unavailable),
        (Action::CloseConnection, ErrorKind::Unavailable),
        (Action::CutBody { at: 20 }, ErrorKind::Unavailable),
        (garbage(None), ErrorKind::Broken),
        (garbage(Some("{\"code\": 0, \"da")), ErrorKind::Broken),
        (garbage(Some("[]")), ErrorKind::Broken),
    ] {
        for (ask, error) in failing(start, action.clone()).await {
            assert_eq!(error.kind, kind, "{ask:?} with {action:?}: {error}");
        }
    }
}

pub(crate) async fn a_throttle_tells_how_long_to_wait(start: Start) {
    let wait = Duration::from_secs(7);
    for retry_after in [RetryAfter::Seconds(7), RetryAfter::DateIn(7)] {
        let throttle = Action::Status {
            code: 429,
            retry_after: Some(retry_after.clone()),
            body: None,
        };
        for (ask, error) in failing(start, throttle).await {
            assert_eq!(error.kind, ErrorKind::RateLimited, "{ask:?}: {error}");
            let told = error.retry_after.expect("the wait is handed on");
            // A date has whole seconds.
            let is_near = told <= wait && told + Duration::from_secs(2) >= wait;
            assert!(is_near, "{ask:?} with {retry_after:?}: {told:?}");
        }
    }
}

pub(crate) async fn a_dropped_call_leaves_the_provider_usable(start: Start) {
    let (rig, file) = one_file(start);
    let provider = rig.open().await;
    for ask in ASKS {
        let call = ask.call(&rig);
        rig.drive.faults().add(Rule::on(call, Action::NeverAnswer));
        let before = rig.calls(call);
        let (asked, id) = (provider.clone(), file.clone());
        let task = tokio::spawn(async move { ask.ask(&*asked, &id).await });
        while rig.calls(call) == before {
            yield_now().await;
        }
        task.abort();
        assert!(task.await.expect_err("it was dropped").is_cancelled());
        rig.drive.faults().clear();
        let after = ask.ask(&*provider, &file).await;
        assert_eq!(after, Ok(()), "{ask:?}");
    }
}

pub(crate) async fn a_hundred_calls_run_at_once(start: Start) {
    let (rig, file) = one_file(start);
    let provider: Arc<dyn Provider> = rig.open().await;
    let mut calls = JoinSet::new();
    for ask in ASKS.into_iter().cycle().take(100) {
        let (provider, file) = (provider.clone(), file.clone());
        calls.spawn(async move { (ask, ask.ask(&*provider, &file).await) });
    }
    for (ask, answer) in calls.join_all().await {
        assert_eq!(answer, Ok(()), "{ask:?}");
    }
    let token = rig.drive.calls().token;
    assert!(rig.calls(token) <= 1, "one login is enough for all");
}
