//! `.linkfs/shares`: every open share of all drives, as a file.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::{ItemId, Share, ShareId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shares::{self, LIST_AGE};
use crate::names::Names;
use crate::node::{Node, Nodes};
use crate::{Drive, Error, Result};

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

/// Open shares as files.
#[derive(Debug)]
pub(crate) struct OpenShares {
    pub(crate) files: Vec<Arc<Node>>,
    /// Which drives could not tell, and why. Of those the files are as they were known last.
    pub(crate) failure: Option<Error>,
}

impl ShareFiles {
    /// The files as they are now. A drive that does not answer keeps the others' from nobody.
    pub(crate) async fn list(
        &self,
        drives: &[Arc<Drive>],
        nodes: &Nodes,
        deadline: Instant,
    ) -> OpenShares {
        let failure = learn(drives, deadline).await.err();
        let files = self.files(drives, nodes);
        OpenShares { files, failure }
    }

    /// The file called `name`. Other drives than its own are asked only when it is not known yet.
    ///
    /// # Errors
    /// Why a drive that may have it cannot tell.
    pub(crate) async fn find(
        &self,
        name: &str,
        drives: &[Arc<Drive>],
        nodes: &Nodes,
        deadline: Instant,
    ) -> Result<Option<Arc<Node>>> {
        if let Some(known) = self.known(name, drives, nodes, deadline).await {
            return Ok(Some(known));
        }
        let OpenShares { files, failure } = self.list(drives, nodes, deadline).await;
        match (files.into_iter().find(|file| &*file.name == name), failure) {
            (None, Some(failure)) => Err(failure),
            (found, _) => Ok(found),
        }
    }

    /// The file that had this name when its drive was looked at last, if that share is open still.
    async fn known(
        &self,
        name: &str,
        drives: &[Arc<Drive>],
        nodes: &Nodes,
        deadline: Instant,
    ) -> Option<Arc<Node>> {
        let (drive, id) = self.lock().shares.get(name)?.clone();
        let drive = drives.iter().find(|known| known.name() == drive)?;
        let has_just_failed = drive.shares.lock().has_failed_within(LIST_AGE);
        // While the drive cannot tell, what it told last holds, and each file need not wait for it anew.
        if !has_just_failed {
            let _told = drive.shares.learn(drive, LIST_AGE, deadline).await;
        }
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
        let names = self.give_names(&shares);
        let files = shares.into_iter().zip(names);
        files
            .map(|((drive, share), name)| nodes.put_share(drive, share, &name))
            .collect()
    }

    /// The names of the open shares, which are all there are.
    fn give_names(&self, shares: &[(&Arc<Drive>, Arc<Share>)]) -> Vec<Arc<str>> {
        let keys: Vec<Key> = shares
            .iter()
            .map(|(drive, share)| key(drive, share))
            .collect();
        let open: HashSet<&Key> = keys.iter().collect();
        let mut given = self.lock();
        given.names.retain(|key, _| open.contains(key));
        given.shares.retain(|_, key| open.contains(key));
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

/// Asks all drives that can share for their shares.
///
/// # Errors
/// Which could not tell, and why the first of them could not.
async fn learn(drives: &[Arc<Drive>], deadline: Instant) -> Result<()> {
    let mut asking = JoinSet::new();
    for drive in drives {
        if shares::sharing(drive).is_ok() {
            let drive = drive.clone();
            asking.spawn(async move {
                let learned = drive.shares.learn(&drive, LIST_AGE, deadline).await;
                learned.map_err(|error| (drive.name().to_owned(), error))
            });
        }
    }
    let answers = asking.join_all().await.into_iter();
    let mut failed: Vec<_> = answers.filter_map(Result::err).collect();
    failed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    match failed.into_iter().next() {
        None => Ok(()),
        Some((_, why)) => Err(untold(&names, why)),
    }
}

/// The failure, with the drives that it is about.
fn untold(drives: &str, why: Error) -> Error {
    match why {
        Error::Drive(error) => {
            let action = format!("the shares of {drives} are not known as they are now");
            Error::Drive(error.during(action))
        }
        Error::Deadline { what, waited } => Error::Deadline {
            what: format!("{what} of {drives}"),
            waited,
        },
        other => other,
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

        async fn list(&self) -> OpenShares {
            let deadline = Instant::now() + Duration::from_secs(30);
            self.files.list(&self.drives, &self.nodes, deadline).await
        }

        async fn try_find(&self, name: &str) -> Result<Option<Arc<Node>>> {
            let deadline = Instant::now() + Duration::from_secs(30);
            let found = self.files.find(name, &self.drives, &self.nodes, deadline);
            found.await
        }

        async fn find(&self, name: &str) -> Option<Arc<Node>> {
            self.try_find(name).await.unwrap()
        }

        /// The names a minute later, when the drive is asked again.
        async fn names(&self) -> Vec<String> {
            tokio::time::advance(LIST_AGE).await;
            names(&self.list().await)
        }
    }

    fn names(shares: &OpenShares) -> Vec<String> {
        let files = shares.files.iter();
        files.map(|file| file.name.to_string()).collect()
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
        let files = scene.list().await.files;
        let about = files[0].attributes(Duration::ZERO);
        assert_eq!(Some(about.modified), made.expires);
        assert!(about.is_control);
        let text = super::super::share_text("work", &made);
        assert_eq!(about.size.0, text.len() as u64);
        let again = scene.list().await.files;
        assert_eq!(again[0].id, files[0].id);
        assert_eq!(scene.find("a.txt").await.unwrap().id, files[0].id);
        assert!(scene.find("b.txt").await.is_none());
        scene.provider.clear();
        tokio::time::advance(LIST_AGE).await;
        assert!(scene.find("a.txt").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drive_that_fails_is_named_and_keeps_the_others_from_nobody() {
        let mut scene = Scene::new();
        scene.provider.refuse(ErrorKind::LoginExpired, None);
        assert!(scene.list().await.failure.is_some());
        let (other, provider) = FakeDrive::default().open();
        let unable = FakeDrive {
            can_share: false,
            ..FakeDrive::default()
        };
        provider.add(named("1", "a.txt", 0));
        scene.drives.extend([other, unable.open().0]);
        scene.provider.refuse(ErrorKind::LoginExpired, None);
        let listed = scene.list().await;
        assert_eq!(names(&listed), ["a.txt"]);
        let failure = listed.failure.expect("a drive failed");
        assert!(failure.is_lapsed_login(), "{failure}");
        assert!(failure.to_string().contains("of work"), "{failure}");
        scene.provider.refuse(ErrorKind::LoginExpired, None);
        assert!(scene.try_find("b.txt").await.is_err(), "it may be there");
        assert!(scene.find("a.txt").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_drive_told_last_is_shown_while_it_cannot_tell() {
        let scene = Scene::new();
        scene.provider.add(named("1", "a.txt", 0));
        assert_eq!(scene.names().await, ["a.txt"]);
        tokio::time::advance(LIST_AGE).await;
        scene.provider.refuse(ErrorKind::LoginExpired, None);
        let listed = scene.list().await;
        assert_eq!(names(&listed), ["a.txt"]);
        assert!(listed.failure.is_some());
        // Its files can be looked at, and do not each ask the drive that cannot tell.
        scene.provider.calls();
        assert!(scene.find("a.txt").await.is_some());
        assert_eq!(scene.provider.calls(), [""; 0]);
        scene.provider.clear();
        let listed = scene.list().await;
        assert_eq!((names(&listed), listed.failure), (Vec::new(), None));
    }
}
