//! Answers in the right form that cannot be true: the plugin goes on, and what it says is not believed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use linkfs_tests::{errno, eventually, read_all};

use crate::scene::{FILES, Scene};

/// The deadline of the mount, and what a busy machine may add.
const LIMIT: Duration = Duration::from_secs(5 + 7);

/// What is listed of the odd drive.
fn names(scene: &Scene) -> Result<usize, i32> {
    let folder = scene.mount.path("odd");
    let names = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    errno(names).map(|names| names.len())
}

#[test]
fn a_link_to_other_bytes_gives_none() {
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    scene.misbehave("link-to-another");
    for _ in 0..3 {
        let read = read_all(&scene.odd(scene.fresh()));
        let error = read.map(|bytes| bytes.len()).expect_err("it fails");
        assert!([libc::ESTALE, libc::EIO].contains(&error), "{error}");
    }
    scene.assert_odd_reads(0);
    scene.assert_well_reads();
    scene.behave();
    eventually("the drive is believed again", || {
        let file = scene.fresh();
        read_all(&scene.odd(file)) == Ok(scene.storage.bytes(file))
    });
    scene.unmount();
}

fn check(misdeed: &str, reason: &str) {
    let scene = Scene::new();
    assert_eq!(names(&scene), Ok(FILES as usize));
    let open = File::open(scene.odd(0)).expect("it opens");
    scene.misbehave(misdeed);
    let asked = Instant::now();
    let (error, said) = scene.refresh().expect_err("it fails");
    assert_eq!(error, libc::EIO, "{said}");
    assert!(said.contains(reason), "{said}");
    assert!(asked.elapsed() < LIMIT, "{:?}", asked.elapsed());
    let status = scene.status();
    assert_eq!(status["state"], "failing", "{status}");
    let told = status["reason"].as_str().unwrap_or_default();
    assert!(told.contains(reason), "{status}");
    // The folder is shown as it was known, and what is open reads on.
    assert_eq!(names(&scene), Ok(FILES as usize));
    let mut bytes = [0; 100];
    open.read_exact_at(&mut bytes, 7000).expect("it reads");
    assert!(bytes == scene.storage.bytes(0)[7000..7100]);
    drop(open);
    scene.assert_well_reads();
    scene.assert_no_failure();
    scene.behave();
    assert_eq!(scene.refresh(), Ok(()));
    scene.assert_odd_reads(1);
    scene.unmount();
}

#[test]
fn a_file_without_a_size_is_not_shown() {
    check("no-size", "without its `size`");
}

#[test]
fn pages_that_do_not_end_are_not_gone_on_with() {
    check("endless-pages", "pages");
}
