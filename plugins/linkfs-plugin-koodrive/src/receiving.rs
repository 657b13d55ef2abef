//! Taking what others shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linkfs_provider::{
    ErrorKind, ItemId, ProviderError, Received, Receiving, Result, Secret, ShareId, Task, TaskId,
    async_trait,
};
use serde_json::{Value, json};

use crate::account::Account;
use crate::share_fields;
use crate::share_task;
use crate::visitor::{self, TOP, Ticket, Visitor};

/// How many items one task takes.
const ITEMS: usize = 1000;

/// How many pages the top of a share may have: far more than a person puts there.
const PAGES: usize = 1000;

/// How many shares are kept open. A share that is not is opened again.
const OPEN: usize = 100;

const PACK: u8 = 1;
const SAVE: u8 = 2;

/// Takes shares for one account, into one space.
#[derive(Debug)]
pub(crate) struct Receiver {
    account: Arc<Account>,
    container: String,
    /// Those who are in shares, by the share.
    visitors: Mutex<HashMap<ShareId, Arc<Visitor>>>,
}

impl Receiver {
    pub(crate) fn new(account: Arc<Account>, container: String) -> Self {
        Receiver {
            account,
            container,
            visitors: Mutex::default(),
        }
    }

    async fn open(&self, url: &str, password: Option<&Secret<String>>) -> Result<Received> {
        let ticket = Ticket::new(url, password.cloned())?;
        let token = token(&ticket);
        let visitor = Arc::new(Visitor::new(self.account.clone(), ticket));
        let mut top = Vec::new();
        let mut after = None;
        for _ in 0..PAGES {
            let page = visitor.page(&TOP.into(), after.as_ref()).await?;
            top.extend(page.items);
            after = page.next;
            if after.is_none() {
                let id = ShareId(visitor.source().await?.share);
                self.keep(&id, visitor);
                return Ok(Received { id, token, top });
            }
        }
        Err(broken("the share has too many pages"))
    }

    fn keep(&self, share: &ShareId, visitor: Arc<Visitor>) {
        let mut visitors = self.visitors();
        if visitors.len() >= OPEN {
            visitors.clear();
        }
        visitors.insert(share.clone(), visitor);
    }

    fn visitor(&self, share: &Received) -> Result<Arc<Visitor>> {
        if let Some(visitor) = self.visitors().get(&share.id) {
            return Ok(visitor.clone());
        }
        let visitor = Arc::new(Visitor::new(self.account.clone(), ticket(&share.token)?));
        self.keep(&share.id, visitor.clone());
        Ok(visitor)
    }

    /// Begins a task on items of a share; `more` is what its kind takes.
    async fn begin(&self, share: &Received, items: &[ItemId], more: Value) -> Result<TaskId> {
        if items.is_empty() || items.len() > ITEMS {
            return Err(invalid(format!(
                "a task takes 1 to {ITEMS} items, not {}",
                items.len()
            )));
        }
        let visitor = self.visitor(share)?;
        let source = visitor.source().await?;
        let call = |token: Option<&Secret<String>>| {
            let mut body = more.clone();
            body["containerId"] = json!(source.container);
            body["fileIds"] = json!(items);
            body["shareId"] = json!(source.share);
            Ok(visitor::post("share task", "tasks", body, token))
        };
        let answer = visitor.call(call).await?;
        let task = share_fields::task_in(&answer);
        let task = task.ok_or_else(|| broken("the answer names no task"))?;
        Ok(share_task::id(&share.id, &task))
    }

    async fn ask(&self, task: &TaskId) -> Result<Task> {
        let (share, number) = share_task::parts(task)?;
        let call = |token: Option<&Secret<String>>| {
            let body = json!({"taskId": number, "shareId": share});
            visitor::post("share task detail", "taskDetail", body, token)
        };
        let visitor = self.visitors().get(&share).cloned();
        let answer = match visitor {
            Some(visitor) => visitor.call(|token| Ok(call(token))).await,
            // Who does not know the share's token may leave it out, as it is documented.
            None => self.account.call(&call(None)).await,
        };
        share_task::read(&answer?)
    }

    fn visitors(&self) -> MutexGuard<'_, HashMap<ShareId, Arc<Visitor>>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Receiving for Receiver {
    async fn accept(&self, url: &str, password: Option<&Secret<String>>) -> Result<Received> {
        let opened = self.open(url, password).await;
        opened.map_err(|error| error.during("open the share"))
    }

    async fn save(&self, share: &Received, items: &[ItemId], into: &ItemId) -> Result<TaskId> {
        let target = json!({"fileId": into, "containerId": self.container});
        let more = json!({"taskType": SAVE, "targetFileId": target});
        let begun = self.begin(share, items, more).await;
        begun.map_err(|error| error.during(format_args!("save from share {}", share.id.0)))
    }

    async fn pack(&self, share: &Received, items: &[ItemId], name: &str) -> Result<TaskId> {
        let more = json!({"taskType": PACK, "zipName": name});
        let begun = match name.is_empty() {
            true => Err(invalid("the archive needs a name")),
            false => self.begin(share, items, more).await,
        };
        begun.map_err(|error| error.during(format_args!("pack share {}", share.id.0)))
    }

    async fn task(&self, task: &TaskId) -> Result<Task> {
        let told = self.ask(task).await;
        told.map_err(|error| error.during(format_args!("ask for task {}", task.0)))
    }
}

/// All that it takes to open a share again, as its token.
fn token(ticket: &Ticket) -> Secret<String> {
    let code = ticket.code.as_ref().map(Secret::expose);
    let text = json!({"shortUrl": ticket.short_url, "extractCode": code}).to_string();
    Secret::new(text)
}

fn ticket(token: &Secret<String>) -> Result<Ticket> {
    let fields: Value = serde_json::from_str(token.expose()).unwrap_or_default();
    let text = |name: &str| fields[name].as_str().map(str::to_owned);
    let code = text("extractCode").map(Secret::new);
    Ticket::new(&text("shortUrl").unwrap_or_default(), code)
}

fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

fn broken(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Broken, message)
}
