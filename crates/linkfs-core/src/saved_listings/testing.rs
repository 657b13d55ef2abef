use std::time::{Duration, SystemTime};

use linkfs_provider::{ByteCount, Item, ItemKind, Version};

/// A file; its id is also its version.
pub(crate) fn item(id: &str, name: &str) -> Item {
    Item {
        id: id.into(),
        name: name.into(),
        kind: ItemKind::File { size: ByteCount(9) },
        modified: None,
        created: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_100)),
        version: Version(id.into()),
        hashes: Default::default(),
        mime: None,
    }
}
