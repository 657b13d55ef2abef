use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use linkfs_emulator::generated_bytes;
use tempfile::TempDir;

use crate::cloud::{Cloud, text};
use crate::curl::{self, Transfer};
use crate::stock::Stock;

/// The most files that one call signs.
const BATCH: usize = 100;

/// A running drive and what was prepared for the limit's side, outside of every measured time.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) cloud: Cloud,
    pub(crate) stock: Stock,
    /// What a curl without work takes.
    pub(crate) curl_start: Duration,
    folder: OnceCell<Folder>,
    urls: OnceCell<Vec<String>>,
    /// The first file's.
    bytes: OnceCell<Vec<u8>>,
}

/// The folder of the first file, as the API tells of it.
#[derive(Debug)]
struct Folder {
    /// The request for each page, as a client that got the page before would make it.
    pages: Vec<Transfer>,
    /// The ids of what is in it, in the order of their creation.
    ids: Vec<String>,
}

impl Rig {
    /// The rig there is if it holds `stock`, or a new one in its place.
    pub(crate) fn for_stock(kept: &mut Option<Rig>, stock: Stock, curl_start: Duration) -> &Rig {
        if kept.as_ref().is_none_or(|rig| rig.stock != stock) {
            // The one before ends first, with all its memory.
            *kept = None;
        }
        kept.get_or_insert_with(|| Rig {
            cloud: Cloud::start(stock),
            stock,
            curl_start,
            folder: OnceCell::new(),
            urls: OnceCell::new(),
            bytes: OnceCell::new(),
        })
    }

    /// A signed link to each file of the first folder.
    pub(crate) fn urls(&self) -> &[String] {
        self.urls.get_or_init(|| {
            let batches = self.folder().ids.chunks(BATCH);
            batches.flat_map(|batch| self.sign(batch)).collect()
        })
    }

    /// The requests that list the first folder.
    pub(crate) fn list_requests(&self) -> &[Transfer] {
        &self.folder().pages
    }

    /// The id of a file of the first folder.
    pub(crate) fn id(&self, index: usize) -> String {
        self.folder().ids[index].clone()
    }

    /// The request that signs one file of the first folder.
    pub(crate) fn sign_request(&self, index: usize) -> Transfer {
        self.cloud.sign_request(&[self.id(index)])
    }

    /// The first file on the local disk, at the same path below this folder. It is written anew each time, as
    /// the mount's is: a virtual disk gives what was read before several times as fast.
    pub(crate) fn write_locally(&self) -> TempDir {
        let folder = disk_folder();
        let path = folder.path().join(self.stock.path(0));
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("a folder");
        let bytes = self.bytes.get_or_init(|| {
            let mut bytes = vec![0; self.stock.size as usize];
            generated_bytes(Stock::seed(0), 0, &mut bytes);
            bytes
        });
        let mut file = File::create(path).expect("a file");
        file.write_all(bytes).expect("room on the disk");
        file.sync_all().expect("it reaches the disk");
        folder
    }

    fn folder(&self) -> &Folder {
        self.folder.get_or_init(|| match self.stock.folders {
            0 => self.list("root"),
            _ => self.list(&self.list("root").ids[0]),
        })
    }

    fn list(&self, id: &str) -> Folder {
        let (mut pages, mut ids) = (Vec::new(), Vec::new());
        let mut cursor = String::new();
        loop {
            let request = self.cloud.list_request(id, &cursor);
            let page = curl::ask(&request);
            pages.push(request);
            let files = page["files"].as_array().expect("a page of files");
            ids.extend(files.iter().map(|file| text(&file["id"])));
            cursor = text(&page["nextCursor"]);
            if cursor.is_empty() {
                return Folder { pages, ids };
            }
        }
    }

    fn sign(&self, ids: &[String]) -> Vec<String> {
        let answer = curl::ask(&self.cloud.sign_request(ids));
        let links = answer["downloads"].as_array().expect("links");
        links.iter().map(|link| text(&link["url"])).collect()
    }
}

/// What folders on the disk are called before the part that is made up.
const DISK_FOLDER: &str = "linkfs-bench-disk-";

/// A folder on the disk that the program lies on: the usual place may be in memory.
pub(crate) fn disk_folder() -> TempDir {
    TempDir::with_prefix_in(DISK_FOLDER, beside_program()).expect("a folder")
}

/// Removes the folders of a benchmark that was interrupted: they hold gigabytes.
pub(crate) fn remove_leftovers() {
    let entries = fs::read_dir(beside_program()).expect("a folder");
    let paths = entries.map(|entry| entry.expect("its entries").path());
    let is_leftover = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(DISK_FOLDER)
    };
    for path in paths.filter(is_leftover) {
        fs::remove_dir_all(path).expect("it is ours");
    }
}

fn beside_program() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its own path");
    program.parent().expect("it lies in a folder").to_owned()
}
