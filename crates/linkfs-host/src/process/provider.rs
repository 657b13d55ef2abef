use std::sync::Arc;

use linkfs_provider::wire::{self, Ability, Call, Outcome};
use linkfs_provider::{
    About, ErrorKind, Item, ItemId, Link, Login, LoginStep, Page, PageToken, Process, ProcessState,
    Provider, ProviderError, Received, Receiving, Result, Secret, Share, ShareId, SharePage,
    ShareTerms, Sharing, Space, Spaces, Task, TaskId, Usage, async_trait,
};
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::supervisor::Supervisor;

/// A provider in a process of its own: each call is one message there and one back.
#[derive(Debug)]
pub(super) struct PluginProcess {
    supervisor: Arc<Supervisor>,
    about: About,
    abilities: Vec<Ability>,
}

impl PluginProcess {
    /// The provider that `first` is the first process of. What it is like stays as it was then, also when a
    /// later program says otherwise: nothing that uses it could follow.
    pub(super) fn new(supervisor: Arc<Supervisor>, first: &Connection) -> PluginProcess {
        PluginProcess {
            about: first.about.clone().into(),
            abilities: first.abilities.clone(),
            supervisor,
        }
    }

    fn can<T>(&self, ability: Ability, it: T) -> Option<T> {
        self.abilities.contains(&ability).then_some(it)
    }

    /// Asks, and reads the answer as a `W` of the wire.
    async fn ask<W: DeserializeOwned>(&self, call: Call) -> Result<W> {
        let name = call.name();
        let connection = self.supervisor.connection().await?;
        let answer = connection.ask(call).await?;
        read(name, answer.get())
    }

    /// Asks for something that has no value.
    async fn request(&self, call: Call) -> Result<()> {
        self.ask::<serde::de::IgnoredAny>(call).await.map(drop)
    }
}

/// serde's own message could repeat what stands there, which may be a link: the place has to do.
fn read<W: DeserializeOwned>(call: &str, answer: &str) -> Result<W> {
    let mut text = serde_json::Deserializer::from_str(answer);
    serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let place = error.path();
        let message = format!("the plugin's answer to `{call}` has a wrong form at `{place}`");
        ProviderError::new(ErrorKind::Broken, message)
    })
}

#[async_trait]
impl Provider for PluginProcess {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let call = Call::List {
            folder: folder.clone(),
            after: after.cloned(),
        };
        self.ask::<wire::Page>(call).await?.try_into()
    }

    async fn stat(&self, item: &ItemId) -> Result<Item> {
        let call = Call::Stat { item: item.clone() };
        self.ask::<wire::Item>(call).await?.try_into()
    }

    async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>> {
        let call = Call::Links {
            files: files.to_vec(),
        };
        let answers = self.ask::<Vec<Outcome<wire::Link>>>(call).await;
        let error = match answers {
            Ok(answers) if answers.len() == files.len() => {
                return answers.into_iter().map(Outcome::into_result).collect();
            }
            Ok(answers) => {
                let (given, asked) = (answers.len(), files.len());
                let message = format!("the plugin gave {given} links for {asked} files");
                ProviderError::new(ErrorKind::Broken, message)
            }
            Err(error) => error,
        };
        files.iter().map(|_| Err(error.clone())).collect()
    }

    fn recall(&self, items: &[Item]) {
        if !self.abilities.contains(&Ability::Recall) {
            return;
        }
        let items = items.iter().cloned().map(wire::Item::from).collect();
        let supervisor = self.supervisor.clone();
        // One that is just being started is told as well.
        tokio::spawn(async move {
            if let Ok(connection) = supervisor.connection().await {
                connection.tell(Call::Recall { items });
            }
        });
    }

    async fn usage(&self) -> Result<Usage> {
        Ok(self.ask::<wire::Usage>(Call::Usage).await?.into())
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        self.can(Ability::Sharing, self)
    }

    fn receiving(&self) -> Option<&dyn Receiving> {
        self.can(Ability::Receiving, self)
    }

    fn spaces(&self) -> Option<&dyn Spaces> {
        self.can(Ability::Spaces, self)
    }

    fn login(&self) -> Option<&dyn Login> {
        self.can(Ability::Login, self)
    }

    fn process(&self) -> Option<&dyn Process> {
        Some(self)
    }
}

#[async_trait]
impl Sharing for PluginProcess {
    async fn check(&self, terms: &ShareTerms) -> Result<()> {
        let terms = terms.clone().into();
        self.request(Call::CheckShare { terms }).await
    }

    async fn share(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        let call = Call::Share {
            items: items.to_vec(),
            terms: terms.clone().into(),
        };
        Ok(self.ask::<wire::Share>(call).await?.into())
    }

    async fn reshare(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        let call = Call::Reshare {
            share: share.clone(),
            terms: terms.clone().into(),
        };
        Ok(self.ask::<wire::Share>(call).await?.into())
    }

    async fn unshare(&self, share: &ShareId) -> Result<()> {
        self.request(Call::Unshare {
            share: share.clone(),
        })
        .await
    }

    async fn shares(&self, after: Option<&PageToken>) -> Result<SharePage> {
        let call = Call::Shares {
            after: after.cloned(),
        };
        Ok(self.ask::<wire::SharePage>(call).await?.into())
    }
}

#[async_trait]
impl Receiving for PluginProcess {
    async fn accept(&self, url: &str, password: Option<&Secret<String>>) -> Result<Received> {
        let url = Secret::new(url.to_owned());
        let call = Call::Accept {
            url,
            password: password.cloned(),
        };
        self.ask::<wire::Received>(call).await?.try_into()
    }

    async fn save(&self, share: &Received, items: &[ItemId], into: &ItemId) -> Result<TaskId> {
        let (share, items) = (share.clone().into(), items.to_vec());
        self.ask(Call::Save {
            share,
            items,
            into: into.clone(),
        })
        .await
    }

    async fn pack(&self, share: &Received, items: &[ItemId], name: &str) -> Result<TaskId> {
        let (share, items) = (share.clone().into(), items.to_vec());
        self.ask(Call::Pack {
            share,
            items,
            name: name.to_owned(),
        })
        .await
    }

    async fn task(&self, task: &TaskId) -> Result<Task> {
        let call = Call::Task { task: task.clone() };
        self.ask::<wire::Task>(call).await?.try_into()
    }
}

#[async_trait]
impl Spaces for PluginProcess {
    async fn spaces(&self) -> Result<Vec<Space>> {
        let spaces = self.ask::<Vec<wire::Space>>(Call::Spaces).await?;
        Ok(spaces.into_iter().map(Space::from).collect())
    }
}

#[async_trait]
impl Login for PluginProcess {
    async fn begin(&self) -> Result<LoginStep> {
        Ok(self.ask::<wire::LoginStep>(Call::BeginLogin).await?.into())
    }

    async fn finish(&self, code: Secret<String>) -> Result<()> {
        self.request(Call::FinishLogin { code }).await
    }
}

#[async_trait]
impl Process for PluginProcess {
    fn state(&self) -> ProcessState {
        self.supervisor.state()
    }

    async fn restart(&self) -> Result<()> {
        self.supervisor.restart().await
    }

    async fn reload(&self) -> Result<()> {
        self.supervisor.reload().await
    }
}
