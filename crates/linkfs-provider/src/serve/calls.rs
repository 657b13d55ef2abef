use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::wire::{self, Answer, Call, Error, LoginStep, Outcome, Request};
use crate::{ErrorKind, Item, Login, Provider, ProviderError, Receiving, Result, Sharing, Spaces};

/// The questions that are being answered. Each is answered once.
#[derive(Clone)]
pub(super) struct Calls {
    provider: Arc<dyn Provider>,
    answers: mpsc::Sender<Vec<u8>>,
    running: Arc<Mutex<HashMap<u64, AbortHandle>>>,
}

impl Calls {
    pub(super) fn new(provider: Arc<dyn Provider>, answers: mpsc::Sender<Vec<u8>>) -> Calls {
        Calls {
            provider,
            answers,
            running: Arc::default(),
        }
    }

    pub(super) fn start(&self, Request { id, call }: Request) {
        let calls = self.clone();
        let mut running = self.lock();
        // It cannot end before it is written down: that needs the lock.
        let task = tokio::spawn(async move {
            let panicked = AnswerOnPanic { calls: &calls, id };
            let answer = answer(&*calls.provider, id, call).await;
            let is_wanted = calls.lock().remove(&id).is_some();
            drop(panicked);
            if is_wanted {
                calls.send(answer).await;
            }
        });
        running.insert(id, task.abort_handle());
    }

    /// Ends a call that nobody waits for. It may have ended by itself already.
    pub(super) fn cancel(&self, id: u64) {
        let Some(task) = self.lock().remove(&id) else {
            return;
        };
        task.abort();
        let error = ProviderError::new(ErrorKind::Unavailable, "cancelled");
        self.send_soon(id, error);
    }

    /// Answers a line that is no question, if it has a number to answer to.
    pub(super) fn refuse(&self, text: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Numbered {
            id: u64,
        }
        match serde_json::from_slice(text) {
            Ok(Numbered { id }) => {
                let message = "the question lacks a part, or a part has the wrong form";
                self.send_soon(id, ProviderError::new(ErrorKind::Invalid, message));
            }
            Err(_) => eprintln!("a line from linkfs was not understood"),
        }
    }

    fn send_soon(&self, id: u64, error: ProviderError) {
        let calls = self.clone();
        tokio::spawn(async move { calls.send(refusal(id, error)).await });
    }

    async fn send(&self, answer: Answer) {
        let text = wire::line(&answer).expect("what it is made of has been written before");
        // Nobody takes it at the end of the process only.
        let _ended = self.answers.send(text).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.running.lock().expect("no panic while locked")
    }
}

/// A call that panics is answered too: it is still among the running ones then.
struct AnswerOnPanic<'a> {
    calls: &'a Calls,
    id: u64,
}

impl Drop for AnswerOnPanic<'_> {
    fn drop(&mut self) {
        if self.calls.lock().remove(&self.id).is_some() {
            let message = "the plugin panicked; its log says where";
            let error = ProviderError::new(ErrorKind::Broken, message);
            self.calls.send_soon(self.id, error);
        }
    }
}

async fn answer(provider: &dyn Provider, id: u64, call: Call) -> Answer {
    let answered = match call {
        Call::List { folder, after } => {
            let page = provider.list(&folder, after.as_ref()).await;
            written(id, page.map(crate::wire::Page::from))
        }
        Call::Stat { item } => {
            let item = provider.stat(&item).await;
            written(id, item.map(crate::wire::Item::from))
        }
        Call::Links { files } => {
            let links = provider.links(&files).await.into_iter();
            let links: Vec<_> = links.map(Outcome::<crate::wire::Link>::of).collect();
            written(id, Ok(links))
        }
        Call::Recall { items } => written(id, recall(provider, items)),
        Call::Usage => {
            let usage = provider.usage().await;
            written(id, usage.map(crate::wire::Usage::from))
        }
        Call::CheckShare { .. }
        | Call::Share { .. }
        | Call::Reshare { .. }
        | Call::Unshare { .. }
        | Call::Shares { .. } => match provider.sharing() {
            Some(sharing) => share(sharing, id, call).await,
            None => refused(id, "share"),
        },
        Call::Accept { .. } | Call::Save { .. } | Call::Pack { .. } | Call::Task { .. } => {
            match provider.receiving() {
                Some(receiving) => receive(receiving, id, call).await,
                None => refused(id, "open what others share"),
            }
        }
        Call::Spaces => match provider.spaces() {
            Some(spaces) => spaces_of(spaces, id).await,
            None => refused(id, "tell its spaces"),
        },
        Call::BeginLogin | Call::FinishLogin { .. } => match provider.login() {
            Some(login) => log_in(login, id, call).await,
            None => refused(id, "log in with a person's help"),
        },
        Call::Unknown => refused(
            id,
            "answer what it was asked: its plugin is older than linkfs",
        ),
    };
    answered.unwrap_or_else(|_| {
        let message = "the answer cannot be written as JSON";
        refusal(id, ProviderError::new(ErrorKind::Broken, message))
    })
}

async fn share(sharing: &dyn Sharing, id: u64, call: Call) -> serde_json::Result<Answer> {
    match call {
        Call::CheckShare { terms } => written(id, sharing.check(&terms.into()).await),
        Call::Share { items, terms } => {
            let share = sharing.share(&items, &terms.into()).await;
            written(id, share.map(crate::wire::Share::from))
        }
        Call::Reshare { share, terms } => {
            let share = sharing.reshare(&share, &terms.into()).await;
            written(id, share.map(crate::wire::Share::from))
        }
        Call::Unshare { share } => written(id, sharing.unshare(&share).await),
        Call::Shares { after } => {
            let page = sharing.shares(after.as_ref()).await;
            written(id, page.map(crate::wire::SharePage::from))
        }
        _ => unreachable!("`answer` sends the calls of sharing here"),
    }
}

async fn receive(receiving: &dyn Receiving, id: u64, call: Call) -> serde_json::Result<Answer> {
    match call {
        Call::Accept { url, password } => {
            let received = receiving.accept(url.expose(), password.as_ref()).await;
            written(id, received.map(crate::wire::Received::from))
        }
        Call::Save { share, items, into } => {
            let task = async { receiving.save(&share.try_into()?, &items, &into).await };
            written(id, task.await)
        }
        Call::Pack { share, items, name } => {
            let task = async { receiving.pack(&share.try_into()?, &items, &name).await };
            written(id, task.await)
        }
        Call::Task { task } => {
            let task = receiving.task(&task).await;
            written(id, task.map(crate::wire::Task::from))
        }
        _ => unreachable!("`answer` sends the calls of receiving here"),
    }
}

async fn spaces_of(spaces: &dyn Spaces, id: u64) -> serde_json::Result<Answer> {
    let spaces = spaces.spaces().await.map(|spaces| {
        let spaces = spaces.into_iter().map(crate::wire::Space::from);
        spaces.collect::<Vec<_>>()
    });
    written(id, spaces)
}

async fn log_in(login: &dyn Login, id: u64, call: Call) -> serde_json::Result<Answer> {
    match call {
        Call::BeginLogin => written(id, login.begin().await.map(LoginStep::from)),
        Call::FinishLogin { code } => written(id, login.finish(code).await),
        _ => unreachable!("`answer` sends the calls of logging in here"),
    }
}

fn recall(provider: &dyn Provider, items: Vec<crate::wire::Item>) -> Result<()> {
    let items = items.into_iter().map(Item::try_from);
    provider.recall(&items.collect::<Result<Vec<_>>>()?);
    Ok(())
}

fn written<T: Serialize>(id: u64, result: Result<T>) -> serde_json::Result<Answer> {
    Answer::new(id, Outcome::<T>::of(result))
}

fn refused(id: u64, what: &str) -> serde_json::Result<Answer> {
    Ok(refusal(id, ProviderError::unsupported(what)))
}

fn refusal(id: u64, error: ProviderError) -> Answer {
    Answer {
        id,
        ok: None,
        error: Some(Error::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{About, ItemId, Link, Page, PageToken, async_trait};

    #[derive(Debug)]
    struct Fragile(About);

    #[async_trait]
    impl Provider for Fragile {
        fn about(&self) -> &About {
            &self.0
        }

        async fn list(&self, folder: &ItemId, _after: Option<&PageToken>) -> Result<Page> {
            match folder.as_str() {
                "glass" => panic!("it broke"),
                "nowhere" => std::future::pending().await,
                _ => Ok(Page::default()),
            }
        }

        async fn stat(&self, _item: &ItemId) -> Result<Item> {
            Err(ProviderError::unsupported("stat"))
        }

        async fn links(&self, _files: &[ItemId]) -> Vec<Result<Link>> {
            Vec::new()
        }
    }

    fn calls() -> (Calls, mpsc::Receiver<Vec<u8>>) {
        let about = About {
            root: "0".into(),
            links_per_call: 1,
            calls_in_flight: 1,
            lists_oldest_first: false,
            listing_ttl: None,
        };
        let (answers, waiting) = mpsc::channel(8);
        (Calls::new(Arc::new(Fragile(about)), answers), waiting)
    }

    fn list(folder: &str) -> Call {
        Call::List {
            folder: folder.into(),
            after: None,
        }
    }

    async fn next(answers: &mut mpsc::Receiver<Vec<u8>>) -> (u64, Option<ErrorKind>) {
        let text = answers.recv().await.unwrap();
        let answer: Answer = serde_json::from_slice(&text).unwrap();
        (answer.id, answer.error.map(|error| error.kind.into()))
    }

    #[tokio::test]
    async fn each_question_is_answered_once_whatever_becomes_of_it() {
        let (calls, mut answers) = calls();
        calls.start(Request {
            id: 1,
            call: list("glass"),
        });
        assert_eq!(next(&mut answers).await, (1, Some(ErrorKind::Broken)));
        calls.start(Request {
            id: 2,
            call: list("nowhere"),
        });
        calls.cancel(2);
        assert_eq!(next(&mut answers).await, (2, Some(ErrorKind::Unavailable)));
        // It is answered already.
        calls.cancel(2);
        calls.refuse(br#"{"id":3,"call":"list"}"#);
        assert_eq!(next(&mut answers).await, (3, Some(ErrorKind::Invalid)));
        calls.start(Request {
            id: 4,
            call: list("0"),
        });
        assert_eq!(next(&mut answers).await, (4, None));
        drop(calls);
        assert_eq!(answers.recv().await, None);
    }
}
