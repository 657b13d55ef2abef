//! `.linkfs/shares`: every open share of all drives, as a file.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::{ItemId, Share, ShareId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shares::{self, LIST_AGE};
use crate::names::Names;
use crate::node::{Node, Nodes};
use crate::{Drive, Result};

/// The names that open shares have as files. A share keeps its name as long as it is open: with each look
/// anew, the name of a share just revoked could pass to another, and removing it twice would revoke both.
#[derive(Debug, Default)]
pub(crate) struct ShareFiles {
    names: Mutex<Given>,
}

/// Which share has which name.
#[derive(Debug, Default)]
struct Given {
    names: HashMap<Key, Arc<str>>,
    shares: HashMap<Arc<str>, Key>,
}

impl ShareFiles {
    /// The files as they are now. A drive that does not answer keeps the others' from nobody.
    ///
    /// # Errors
    /// Why no drive that can share answers.
    pub(crate) async fn list(
        &self,
        drives: &[Arc<Drive>],
        nodes: &Nodes,
        deadline: Instant,
    ) -> Result<Vec<Arc<Node>>> {
        let answered = learn(drives, deadline).await?;
        Ok(self.files(&answered, nodes))
    }

    /// The file called `name`. The others are looked at only when it is not known yet.
    ///
    /// # Errors
    /// As [`ShareFiles::list`].
    pub(crate) async fn find(
        &self,
        name: &str,
        drives: &[Arc<Drive>],
        nodes: &Nodes,
        deadline: Instant,
    ) -> Result<Option<Arc<Node>>> {
        let answered = learn(drives, deadline).await?;
        if let Some(known) = self.known(name, &answered, nodes) {
            return Ok(Some(known));
        }
        let files = self.files(&answered, nodes);
        Ok(files.into_iter().find(|file| &*file.name == name))
    }

    fn known(&self, name: &str, drives: &[Arc<Drive>], nodes: &Nodes) -> Option<Arc<Node>> {
        let (drive, id) = self.lock().shares.get(name)?.clone();
        let drive = drives.iter().find(|known| known.name() == drive)?;
        let share = drive.shares.lock().open_share(&id)?;
        Some(nodes.put_share(drive, share, name))
    }

    fn files(&self, drives: &[Arc<Drive>], nodes: &Nodes) -> Vec<Arc<Node>> {
        let mut shares: Vec<_> = drives
            .iter()
            .flat_map(|drive| {
                let open = drive.shares.lock().open_shares();
                open.into_iter().map(move |share| (drive, share))
            })
            .collect();
        // Oldest first, so that in the next mount too the oldest of equal names keeps it.
        shares.sort_by_cached_key(|(drive, share)| {
            let (drive, id) = key(drive, share);
            (share.created, drive, id.0)
        });
        let names = self.give_names(drives, &shares);
        let files = shares.into_iter().zip(names);
        files
            .map(|((drive, share), name)| nodes.put_share(drive, share, &name))
            .collect()
    }

    /// The names of the open shares of `drives`; what the shares of others are called stays as it is.
    fn give_names(
        &self,
        drives: &[Arc<Drive>],
        shares: &[(&Arc<Drive>, Arc<Share>)],
    ) -> Vec<Arc<str>> {
        let keys: Vec<Key> = shares
            .iter()
            .map(|(drive, share)| key(drive, share))
            .collect();
        let open: HashSet<&Key> = keys.iter().collect();
        let is_closed =
            |key: &Key| !open.contains(key) && drives.iter().any(|drive| drive.name() == key.0);
        let mut given = self.lock();
        given.names.retain(|key, _| !is_closed(key));
        given.shares.retain(|_, key| !is_closed(key));
        let mut taken = Names::default();
        given.names.values().for_each(|name| taken.reserve(name));
        let names = keys.iter().zip(shares).map(|(key, (_, share))| {
            if let Some(name) = given.names.get(key) {
                return name.clone();
            }
            let name = taken.give(&share.name, &ItemId::from(share.id.0.as_str()));
            given.names.insert(key.clone(), name.clone());
            given.shares.insert(name.clone(), key.clone());
            name
        });
        names.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        self.names
            .lock()
            .expect("no panic while the names are locked")
    }
}

/// Asks all drives that can share for their shares, and gives those that answered.
///
/// # Errors
/// Why none of them did.
async fn learn(drives: &[Arc<Drive>], deadline: Instant) -> Result<Vec<Arc<Drive>>> {
    let mut asking = JoinSet::new();
    for drive in drives {
        if shares::sharing(drive).is_ok() {
            let drive = drive.clone();
            asking.spawn(async move {
                let learned = drive.shares.learn(&drive, LIST_AGE, deadline).await;
                learned.map(|()| drive)
            });
        }
    }
    let mut answered = Vec::new();
    let mut failure = None;
    for answer in asking.join_all().await {
        match answer {
            Ok(drive) => answered.push(drive),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if answered.is_empty() => Err(error),
        _ => Ok(answered),
    }
}

/// What tells a share from all others.
type Key = (String, ShareId);

fn key(drive: &Drive, share: &Share) -> Key {
    (drive.name().to_owned(), share.id.clone())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use linkfs_provider::ErrorKind;

    use super::super::fake::{FakeDrive, share};
    use super::*;

    fn named(id: &str, name: &str, age: u64) -> Share {
        Share {
            name: name.to_owned(),
            created: Some(SystemTime::now() - Duration::from_secs(age)),
            ..share(id, &["a"])
        }
    }

    struct Scene {
        files: ShareFiles,
        nodes: Nodes,
        drives: Vec<Arc<Drive>>,
        provider: Arc<FakeDrive>,
    }

    impl Scene {
        fn new() -> Scene {
            let (drive, provider) = FakeDrive::default().open();
            Scene {
                files: ShareFiles::default(),
                nodes: Nodes::default(),
                drives: vec![drive],
                provider,
            }
        }

        async fn list(&self) -> Result<Vec<Arc<Node>>> {
            let deadline = Instant::now() + Duration::from_secs(30);
            self.files.list(&self.drives, &self.nodes, deadline).await
        }

        async fn find(&self, name: &str) -> Option<Arc<Node>> {
            let deadline = Instant::now() + Duration::from_secs(30);
            let found = self.files.find(name, &self.drives, &self.nodes, deadline);
            found.await.unwrap()
        }

        /// The names a minute later, when the drive is asked again.
        async fn names(&self) -> Vec<String> {
            tokio::time::advance(LIST_AGE).await;
            let files = self.list().await.unwrap();
            files.iter().map(|file| file.name.to_string()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_keeps_its_name_as_long_as_it_is_open() {
        let scene = Scene::new();
        assert_eq!(scene.names().await, Vec::<String>::new());
        scene.provider.add(named("1", "a/b.txt", 100));
        scene.provider.add(named("2", "a/b.txt", 50));
        assert_eq!(scene.names().await, ["a%2Fb.txt", "a%2Fb (d4735e3a).txt"]);
        scene.provider.clear();
        scene.provider.add(named("2", "a/b.txt", 50));
        assert_eq!(scene.names().await, ["a%2Fb (d4735e3a).txt"]);
        scene.provider.add(named("3", "a/b.txt", 20));
        assert_eq!(scene.names().await, ["a%2Fb (d4735e3a).txt", "a%2Fb.txt"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_tells_of_its_share_and_ends_when_it_does() {
        let scene = Scene::new();
        let made = named("1", "a.txt", 0);
        scene.provider.add(made.clone());
        let files = scene.list().await.unwrap();
        let about = files[0].attributes(Duration::ZERO);
        assert_eq!(Some(about.modified), made.expires);
        assert!(about.is_control);
        let text = super::super::share_text("work", &made);
        assert_eq!(about.size.0, text.len() as u64);
        let again = scene.list().await.unwrap();
        assert_eq!(again[0].id, files[0].id);
        assert_eq!(scene.find("a.txt").await.unwrap().id, files[0].id);
        assert!(scene.find("b.txt").await.is_none());
        scene.provider.clear();
        tokio::time::advance(LIST_AGE).await;
        assert!(scene.find("a.txt").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drive_that_fails_keeps_the_others_from_nobody() {
        let mut scene = Scene::new();
        scene.provider.refuse(ErrorKind::LoginExpired, None);
        assert!(scene.list().await.is_err());
        let (other, provider) = FakeDrive::default().open();
        let unable = FakeDrive {
            can_share: false,
            ..FakeDrive::default()
        };
        provider.add(named("1", "a.txt", 0));
        scene.drives.extend([other, unable.open().0]);
        scene.provider.refuse(ErrorKind::LoginExpired, None);
        assert_eq!(scene.names().await, ["a.txt"]);
    }
}
