//! Breaches of the protocol: the process is ended, and another one started.

use std::thread;
use std::time::Duration;

use linkfs_tests::{eventually, read_all, within};

use crate::scene::{GOOD, SIZE, Scene, TOKEN};

/// The deadline of the mount, and what a busy machine may add.
const LIMIT: Duration = Duration::from_secs(5 + 7);
/// How many wait at once.
const WAITERS: usize = 4;
/// A mount with 64 MiB for content and names; a plugin's longest line is 32 MiB, and twice that while it grows.
const MOST_MEMORY: u64 = 256 << 20;

/// A drive is down, or does not answer.
const DOWN: [i32; 2] = [libc::EHOSTDOWN, libc::ETIMEDOUT];

/// What is read of files that need a link, by several at once.
fn read_fresh(scene: &Scene) -> Vec<Result<Vec<u8>, i32>> {
    let readers: Vec<_> = (0..WAITERS)
        .map(|_| scene.odd(scene.fresh()))
        .map(|path| thread::spawn(move || within(LIMIT, move || read_all(&path))))
        .collect();
    let answers = readers.into_iter().map(|reader| reader.join());
    answers.map(|answer| answer.expect("in time")).collect()
}

/// Whoever needs a link is told that the drive is down.
#[track_caller]
fn assert_down(scene: &Scene) {
    for answer in read_fresh(scene) {
        let error = answer.map(|bytes| bytes.len()).expect_err("it fails");
        assert!(DOWN.contains(&error), "{error}: {}", scene.status());
    }
}

/// Whatever the odd drive does: what was read is there, and so is the other drive.
#[track_caller]
fn assert_the_rest_goes_on(scene: &Scene) {
    scene.assert_odd_reads(0);
    scene.assert_well_reads();
    let peak = scene.peak_memory();
    assert!(peak < MOST_MEMORY, "{peak} bytes");
}

#[track_caller]
fn assert_told(scene: &Scene, reason: &str) {
    let plugin = scene.status()["plugin"].clone();
    let failure = plugin["last_failure"].as_str().unwrap_or_default();
    assert!(failure.contains("plugin mischief"), "{plugin}");
    assert!(failure.contains(reason), "{plugin}");
    assert!(plugin["failures"].as_u64() > Some(0), "{plugin}");
    let folder = scene.mount.folder().to_str().expect("text").to_owned();
    let shown = scene.linkfs(&["status", &folder]).success();
    assert!(shown.contains(failure), "no {failure:?} in: {shown}");
}

/// The drive gives bytes that need a link.
#[track_caller]
fn assert_it_works_again(scene: &Scene) {
    eventually("the drive works again", || {
        let file = scene.fresh();
        read_all(&scene.odd(file)) == Ok(scene.storage.bytes(file))
    });
    assert!(scene.pid().is_some(), "{}", scene.status());
}

/// A misdeed from its beginning to its end; gives the scene, which is unmounted.
fn check(misdeed: &str, reason: &str) -> Scene {
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    scene.misbehave(misdeed);
    assert_down(&scene);
    assert_the_rest_goes_on(&scene);
    assert_told(&scene, reason);
    scene.behave();
    assert_it_works_again(&scene);
    scene.unmount();
    scene
}

#[test]
fn a_plugin_that_dies_in_the_middle_of_an_answer_is_started_again() {
    check("die-in-mid-answer", "it ended (exit status: 3)");
}

#[test]
fn a_plugin_that_answers_twice_is_ended() {
    // The first answer is good: the process that is ended for the second has helped somebody.
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    scene.misbehave("answer-twice");
    for answer in read_fresh(&scene) {
        let size = answer.map(|bytes| bytes.len() as u64);
        assert!(size == Ok(SIZE) || size.is_err_and(|error| DOWN.contains(&error)));
    }
    assert_the_rest_goes_on(&scene);
    assert_told(&scene, "that was not open");
    scene.behave();
    assert_it_works_again(&scene);
    scene.unmount();
}

#[test]
fn answers_may_come_in_any_order() {
    let scene = Scene::new();
    scene.misbehave("answer-out-of-order");
    for file in 1..=12 {
        let readers = [
            scene.odd(file),
            scene.mount.path(&format!("odd/file-{}.bin", 13 + file)),
        ];
        let threads =
            readers.map(|path| thread::spawn(move || within(LIMIT, move || read_all(&path))));
        let [first, second] = threads.map(|thread| thread.join().expect("in time"));
        assert!(first == Ok(scene.storage.bytes(file)));
        assert!(second == Ok(scene.storage.bytes(13 + file)));
    }
    scene.assert_no_failure();
    scene.unmount();
}

#[test]
fn a_plugin_that_never_answers_is_taken_for_hung() {
    check("never-answer", "it said nothing for");
}

#[test]
fn a_line_that_does_not_end_is_not_read_on() {
    check("endless-line", "a line of more than 32 MiB");
}

#[test]
fn a_flood_of_lines_ends_the_plugin() {
    check("endless-lines", "that was not open");
}

#[test]
fn a_flood_of_errors_fills_neither_memory_nor_disk() {
    let scene = check("endless-errors", "it said nothing for");
    let logged = scene.mount.home().log().len();
    assert!(logged < 8 << 20, "{logged} bytes in the log");
}

#[test]
fn bytes_that_are_no_text_end_the_plugin() {
    check("invalid-utf-8", "a line that is not UTF-8");
}

#[test]
fn rubbish_on_stdout_ends_the_plugin() {
    check("rubbish", "a line that is not JSON");
}

#[test]
fn what_a_plugin_leaves_behind_ends_with_it() {
    check("leave-a-child", "it ended (exit status: 3)");
}

#[test]
fn a_page_of_a_million_items_is_not_read() {
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    scene.misbehave("huge-page");
    let (error, said) = scene.refresh().expect_err("it fails");
    assert!(DOWN.contains(&error), "{error}: {said}");
    assert_the_rest_goes_on(&scene);
    assert_told(&scene, "a line of more than 32 MiB");
    scene.behave();
    assert_it_works_again(&scene);
    scene.unmount();
}

/// A program that was replaced by one that cannot be started is noticed when its process ends.
fn check_start(what: &str, reason: &str) {
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    scene.install(what);
    scene.kill_plugin();
    assert_down(&scene);
    assert_the_rest_goes_on(&scene);
    assert_told(&scene, reason);
    scene.install(GOOD);
    assert_it_works_again(&scene);
    scene.unmount();
}

#[test]
fn a_plugin_that_dies_before_its_hello_is_tried_again_later() {
    check_start("1 die", "it ended (exit status: 1)");
}

#[test]
fn a_plugin_of_another_protocol_is_refused() {
    check_start(
        "1 wrong-protocol",
        "it speaks the protocols [77], and linkfs 1",
    );
}

#[test]
fn a_plugin_that_does_not_end_is_ended() {
    let scene = Scene::new();
    scene.misbehave("ignore-end");
    scene.assert_odd_reads(1);
    scene.unmount();
}

#[test]
fn a_token_on_stderr_is_hidden_in_the_log() {
    let scene = Scene::new();
    scene.misbehave("show-token");
    scene.assert_odd_reads(1);
    eventually("it is logged", || {
        scene
            .mount
            .home()
            .log()
            .contains("the token is ?, said the plugin")
    });
    assert!(!scene.mount.home().log().contains(TOKEN));
    scene.unmount();
}
