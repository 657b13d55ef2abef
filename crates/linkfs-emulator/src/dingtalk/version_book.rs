use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use jiff::Timestamp;

use crate::{Content, Node};

/// The versions of files that clients have seen. The tree forgets what it replaces.
#[derive(Debug, Default)]
pub(crate) struct VersionBook(Mutex<HashMap<String, BTreeMap<u64, Version>>>);

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) content: Content,
    pub(crate) modified: Timestamp,
}

impl VersionBook {
    /// Keeps the version a file has now.
    pub(crate) fn note(&self, node: &Node) {
        let Some(content) = &node.content else {
            return;
        };
        let mut files = self.0.lock().expect("version lock");
        let versions = files.entry(node.id.clone()).or_default();
        versions.entry(node.revision).or_insert_with(|| Version {
            number: node.revision,
            content: content.clone(),
            modified: node.modified,
        });
    }

    pub(crate) fn find(&self, file: &str, number: u64) -> Option<Version> {
        let files = self.0.lock().expect("version lock");
        files.get(file)?.get(&number).cloned()
    }

    /// Newest first.
    pub(crate) fn all(&self, file: &str) -> Vec<Version> {
        let files = self.0.lock().expect("version lock");
        let versions = files.get(file).into_iter().flat_map(BTreeMap::values);
        versions.rev().cloned().collect()
    }
}
