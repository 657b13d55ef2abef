//! What the tests have in common.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use linkfs_emulator::{Action, EmulatedDrive, ROOT_ID, Rule, Tree};
use linkfs_tests::{DriveKind, Home, MountBuilder, Mounted, eventually, read_all, run};

/// The unit of caching.
pub(crate) const BLOCK: u64 = 256 << 10;
/// Twelve blocks and the beginning of another.
pub(crate) const SIZE: u64 = 12 * BLOCK + 12_345;

/// A drive with a file on it.
pub(crate) struct Scene {
    pub(crate) emulator: Box<dyn EmulatedDrive>,
    pub(crate) tree: Tree,
    /// Of `file.bin`.
    pub(crate) file: String,
    pub(crate) bytes: Vec<u8>,
}

impl Scene {
    pub(crate) fn new(kind: DriveKind) -> Scene {
        Scene::with(kind, SIZE, |setup| setup)
    }

    pub(crate) fn with(
        kind: DriveKind,
        size: u64,
        change: impl FnOnce(linkfs_tests::DriveSetup) -> linkfs_tests::DriveSetup,
    ) -> Scene {
        let tree = Tree::new();
        let file = tree.add_generated(ROOT_ID, "file.bin", 77, size);
        let emulator = change(kind.setup(tree.clone())).start();
        let bytes = linkfs_tests::true_bytes(&tree, &file);
        Scene {
            emulator,
            tree,
            file,
            bytes,
        }
    }

    pub(crate) fn builder(&self) -> MountBuilder {
        let builder = Mounted::builder(&*self.emulator);
        builder.listing_ttl("10m").disk("64MiB")
    }

    pub(crate) fn mount(&self) -> Mounted {
        self.builder().mount()
    }

    /// Reads the file, which must be right.
    #[track_caller]
    pub(crate) fn read(&self, mount: &Mounted) {
        let bytes = read_all(&mount.path("file.bin"));
        let is_right = bytes.as_ref().is_ok_and(|bytes| *bytes == self.bytes);
        let length = bytes.as_ref().map(Vec::len);
        assert!(is_right, "{length:?}, {:?}", mount.status()["disk"]);
    }

    pub(crate) fn data_requests(&self) -> u64 {
        self.emulator.counters().snapshot().data_requests
    }

    pub(crate) fn signings(&self) -> u64 {
        self.emulator.counters().calls(self.emulator.calls().sign)
    }

    /// The bytes that were asked for.
    pub(crate) fn bytes_asked_for(&self) -> u64 {
        let log = self.emulator.counters().snapshot().data_log;
        let lengths = log.iter().map(|request| {
            let range = request.range.strip_prefix("bytes=").expect("a range");
            let (start, end) = range.split_once('-').expect("two ends");
            let number = |text: &str| text.parse::<u64>().expect("a number");
            number(end) + 1 - number(start)
        });
        lengths.sum()
    }

    pub(crate) fn is_down(&self) {
        let down = Action::Status {
            code: 503,
            retry_after: None,
            body: None,
        };
        self.emulator.faults().add(Rule::on("any", down));
    }
}

/// What the mount says of a file.
pub(crate) fn attribute(path: &Path, name: &str) -> Option<String> {
    let value = xattr::get(path, format!("user.linkfs.{name}")).expect("it answers");
    value.map(|value| String::from_utf8(value).expect("text"))
}

/// Waits until a complete file has been verified.
#[track_caller]
pub(crate) fn await_verified(path: &Path) {
    eventually("the file is verified", || {
        attribute(path, "verified").as_deref() == Some("yes")
    });
}

/// Files in the cache that end in `extension`.
#[track_caller]
pub(crate) fn cached(home: &Home, extension: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(home.cached_content()).expect("there is a cache");
    let found = found.map(|entry| entry.expect("an entry").path());
    found
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .collect()
}

/// The only cached file's bytes on disk.
#[track_caller]
pub(crate) fn data_file(home: &Home) -> File {
    let found = cached(home, "data");
    assert_eq!(found.len(), 1, "{found:?}");
    let file = File::options().read(true).write(true).open(&found[0]);
    file.expect("it opens")
}

/// Changes a byte.
pub(crate) fn garble(file: &File, offset: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    file.write_all_at(&[byte[0] ^ 4], offset).expect("written");
}

/// A second mount of the same home.
pub(crate) struct Second(pub(crate) PathBuf);

impl Second {
    pub(crate) fn mount(home: &Home) -> Second {
        let folder = home.path().join("second");
        fs::create_dir(&folder).expect("a folder");
        run(home.linkfs().args(["mount", "work"]).arg(&folder)).success();
        Second(folder)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let mut umount = std::process::Command::new("umount");
        let _may_be_gone = umount.args(["-l", "-q"]).arg(&self.0).status();
    }
}
