use serde::{Deserialize, Serialize};

use super::time;
use crate::{ByteCount, ErrorKind, Hashes, ItemId, PageToken, ProviderError, Version, WebAddress};

/// The kernel counts a file's bytes with a sign.
const LARGEST_FILE: u64 = i64::MAX as u64;

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Item {
    /// The item's id on its drive.
    pub id: ItemId,
    /// The name as the drive has it; it may be anything.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// The exact length of a file, in bytes, at most 2^63 - 1; a file must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The page of a web document; one must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When the content was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_ms: Option<i64>,
    /// When the item was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// Whatever changes with the content. Without it the time of the last change and the size do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Hashes of the content by their lower-case names.
    #[serde(default, skip_serializing_if = "Hashes::is_empty")]
    pub hashes: Hashes,
    /// Media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// It has children.
    Folder,
    /// It has bytes.
    File,
    /// It is a page to open in a browser.
    WebDocument,
}

/// One page of a folder's children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Page {
    /// The children.
    pub items: Vec<Item>,
    /// Where the next page starts; missing when this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PageToken>,
}

impl From<crate::Item> for Item {
    fn from(item: crate::Item) -> Self {
        let (kind, size, address) = match item.kind {
            crate::ItemKind::Folder => (ItemKind::Folder, None, None),
            crate::ItemKind::File { size } => (ItemKind::File, Some(size.0), None),
            crate::ItemKind::WebDocument { address } => (
                ItemKind::WebDocument,
                None,
                Some(address.as_str().to_owned()),
            ),
        };
        Item {
            id: item.id,
            name: item.name,
            kind,
            size,
            address,
            modified_ms: item.modified.map(time::from_time),
            created_ms: item.created.map(time::from_time),
            version: Some(item.version.0),
            hashes: item.hashes,
            mime: item.mime,
        }
    }
}

impl TryFrom<Item> for crate::Item {
    type Error = ProviderError;

    fn try_from(item: Item) -> Result<Self, ProviderError> {
        let lacks = |what: &str| {
            let message = format!("the plugin gave item {} without {what}", item.id);
            ProviderError::new(ErrorKind::Broken, message)
        };
        let too_large = || {
            let message = format!("the plugin gave item {} a `size` of 2^63 or more", item.id);
            ProviderError::new(ErrorKind::Broken, message)
        };
        let kind = match item.kind {
            ItemKind::Folder => crate::ItemKind::Folder,
            ItemKind::File => match item.size.ok_or_else(|| lacks("its `size`"))? {
                size @ ..=LARGEST_FILE => crate::ItemKind::File {
                    size: ByteCount(size),
                },
                _ => return Err(too_large()),
            },
            ItemKind::WebDocument => {
                let address = item.address.as_deref();
                crate::ItemKind::WebDocument {
                    address: WebAddress::new(address.ok_or_else(|| lacks("its `address`"))?)?,
                }
            }
        };
        let version = item.version.unwrap_or_else(|| {
            let modified = item.modified_ms.unwrap_or_default();
            format!("{modified}-{}", item.size.unwrap_or_default())
        });
        Ok(crate::Item {
            id: item.id,
            name: item.name,
            kind,
            modified: item.modified_ms.and_then(time::to_time),
            created: item.created_ms.and_then(time::to_time),
            version: Version(version),
            hashes: item.hashes,
            mime: item.mime,
        })
    }
}

impl From<crate::Page> for Page {
    fn from(page: crate::Page) -> Self {
        Page {
            items: page.items.into_iter().map(Item::from).collect(),
            next: page.next,
        }
    }
}

impl TryFrom<Page> for crate::Page {
    type Error = ProviderError;

    fn try_from(page: Page) -> Result<Self, ProviderError> {
        let items = page.items.into_iter().map(crate::Item::try_from);
        Ok(crate::Page {
            items: items.collect::<Result<_, _>>()?,
            next: page.next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_larger_than_the_kernel_can_say() {
        for (size, is_one) in [
            (0, true),
            (LARGEST_FILE, true),
            (LARGEST_FILE + 1, false),
            (u64::MAX, false),
        ] {
            let item = serde_json::json!({"id": "f", "name": "f", "kind": "file", "size": size});
            let item: Item = serde_json::from_value(item).unwrap();
            let page = Page {
                items: vec![item.clone()],
                next: None,
            };
            assert_eq!(crate::Page::try_from(page).is_ok(), is_one, "{size}");
            match crate::Item::try_from(item) {
                Ok(item) => assert!(
                    is_one
                        && item.kind
                            == crate::ItemKind::File {
                                size: ByteCount(size)
                            }
                ),
                Err(error) => {
                    assert!(!is_one && error.message.contains("`size`"), "{error}");
                    assert_eq!(error.kind, ErrorKind::Broken);
                }
            }
        }
    }
}
