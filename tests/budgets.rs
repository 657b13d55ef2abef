//! What ordinary commands cost the drive, by the emulator's own counters.

use std::path::Path;
use std::process::{Command, Stdio};

use linkfs_emulator::{Counts, EmulatedDrive, ROOT_ID, Tree};
use linkfs_tests::{DriveKind, Mounted, mib, on_every_drive, shell, tree_with_file};

on_every_drive! {
    fn listing_costs_one_call_per_page_and_nothing_per_file,
    fn a_known_folder_answers_stat_misses_and_df_from_memory,
    fn reading_every_file_of_a_folder_signs_in_batches,
    fn a_large_file_costs_one_link_and_its_bytes_once,
    fn two_readers_at_once_do_not_double_the_bytes,
    fn a_folder_wanted_by_many_at_once_is_listed_once,
    fn a_small_random_read_of_a_large_file_fetches_little_more,
}

/// A folder `many` with `count` small files of different content.
fn tree_with_folder(count: u64) -> Tree {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "many");
    for number in 0..count {
        tree.add_generated(&folder, &format!("file {number:04}"), number, 1000 + number);
    }
    tree
}

fn start(kind: DriveKind, tree: Tree) -> (Box<dyn EmulatedDrive>, Mounted) {
    let emulator = kind.start(tree);
    let mount = Mounted::new(&*emulator);
    emulator.counters().reset();
    (emulator, mount)
}

/// Runs a line in the mount and gives what it cost.
#[track_caller]
fn cost(emulator: &dyn EmulatedDrive, mount: &Mounted, line: &str) -> Counts {
    emulator.counters().reset();
    shell(mount.folder(), line, Path::new("")).success();
    emulator.counters().snapshot()
}

fn calls(counts: &Counts, endpoint: &str) -> u64 {
    counts.calls.get(endpoint).copied().unwrap_or(0)
}

/// Calls of every kind.
fn all_calls(counts: &Counts) -> u64 {
    counts.calls.values().sum()
}

fn listing_costs_one_call_per_page_and_nothing_per_file(kind: DriveKind) {
    let (emulator, mount) = start(kind, tree_with_folder(250));
    let first = cost(&*emulator, &mount, r#"test "$(ls -l many | wc -l)" = 251"#);
    let names = emulator.calls();
    let pages = 250_u64.div_ceil(names.page_max as u64);
    assert_eq!(
        (calls(&first, names.list), all_calls(&first)),
        (pages, pages),
        "{first:?}"
    );
    for line in [
        "ls -l many",
        "find . -size +1k",
        "du -a --apparent-size many",
        "stat many/*",
        "ls -lR .",
    ] {
        let again = cost(&*emulator, &mount, line);
        assert_eq!(all_calls(&again), 0, "{line}: {again:?}");
    }
}

fn a_known_folder_answers_stat_misses_and_df_from_memory(kind: DriveKind) {
    let (emulator, mount) = start(kind, tree_with_folder(20));
    cost(&*emulator, &mount, "ls many");
    for line in [
        "stat 'many/file 0003'",
        "! stat many/missing",
        "! test -e many/missing",
        "df many",
        "getfattr -n user.linkfs.id many/*",
    ] {
        let counts = cost(&*emulator, &mount, line);
        assert_eq!(
            (all_calls(&counts), counts.data_requests),
            (0, 0),
            "{line}: {counts:?}"
        );
    }
}

fn reading_every_file_of_a_folder_signs_in_batches(kind: DriveKind) {
    let (emulator, mount) = start(kind, tree_with_folder(500));
    let counts = cost(&*emulator, &mount, "cat many/* | wc -c");
    let names = emulator.calls();
    // Full batches, and one more for the file that was wanted before the listing was known; a drive that
    // signs one file at a time is asked once for each.
    let most = match names.sign_max {
        1 => 500,
        batch => 500_u64.div_ceil(batch as u64) + 1,
    };
    let signings = calls(&counts, names.sign);
    assert!(signings <= most, "{:?}", counts.calls);
    let pages = 500_u64.div_ceil(names.page_max as u64);
    assert_eq!(calls(&counts, names.list), pages);
    assert_eq!(all_calls(&counts), signings + pages, "and no other call");
    // One range each, and the second ones that the mount says it made because an answer was late. One of those
    // may be called off before the drive has seen it.
    let status = mount.status();
    let seconds = status["drives"][0]["second_requests"].as_u64();
    let most = 500 + seconds.expect("a count");
    let requests = counts.data_requests;
    assert!(
        (500..=most).contains(&requests),
        "{requests} ranges, {most} expected"
    );
    assert!(most <= 500 + 500 / 32, "second requests are rare: {status}");
    assert!(
        counts
            .download_batches
            .iter()
            .all(|batch| batch.len() <= names.sign_max)
    );
    let again = cost(&*emulator, &mount, "cat many/* | wc -c");
    assert_eq!(
        (all_calls(&again), again.data_requests),
        (0, 0),
        "the second time: {:?}",
        again.calls
    );
}

fn a_large_file_costs_one_link_and_its_bytes_once(kind: DriveKind) {
    let (tree, id) = tree_with_file("one-gigabyte.bin", 42, mib(1024));
    let (emulator, mount) = start(kind, tree);
    let counts = cost(&*emulator, &mount, "cat one-gigabyte.bin > /dev/null");
    assert_eq!(calls(&counts, emulator.calls().sign), 1);
    let bytes = counts.files[&id].bytes;
    assert!(
        bytes >= mib(1024) && bytes <= mib(1024) / 100 * 102,
        "{bytes} bytes served"
    );
}

fn two_readers_at_once_do_not_double_the_bytes(kind: DriveKind) {
    let (tree, id) = tree_with_file("shared.bin", 43, mib(256));
    let (emulator, mount) = start(kind, tree);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut reader = Command::new("sha256sum");
            reader.arg(mount.path("shared.bin")).stdout(Stdio::piped());
            reader.spawn().expect("sha256sum starts")
        })
        .collect();
    let sums: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.wait_with_output().expect("it ends").stdout)
        .collect();
    assert!(!sums[0].is_empty() && sums[0] == sums[1]);
    let bytes = emulator.counters().snapshot().files[&id].bytes;
    assert!(bytes <= mib(256) / 100 * 102, "{bytes} bytes served");
}

fn a_folder_wanted_by_many_at_once_is_listed_once(kind: DriveKind) {
    let (emulator, mount) = start(kind, tree_with_folder(150));
    let counts = cost(
        &*emulator,
        &mount,
        "for reader in $(seq 16); do stat \"many/file 00$((reader + 10))\" > /dev/null & done; wait",
    );
    let names = emulator.calls();
    let pages = 150_u64.div_ceil(names.page_max as u64);
    assert_eq!(
        (calls(&counts, names.list), all_calls(&counts)),
        (pages, pages),
        "{:?}",
        counts.calls
    );
}

fn a_small_random_read_of_a_large_file_fetches_little_more(kind: DriveKind) {
    let (tree, id) = tree_with_file("large.bin", 44, mib(512));
    let (emulator, mount) = start(kind, tree);
    // 50 reads of 4 KiB, each a jump, without the kernel's pages.
    cost(
        &*emulator,
        &mount,
        "for n in $(seq 50); do dd if=large.bin of=/dev/null bs=4096 count=1 skip=$((n * 2617)) iflag=direct status=none; done",
    );
    let bytes = emulator.counters().snapshot().files[&id].bytes;
    assert!(bytes <= 50 * 512 * 1024, "{bytes} bytes served for 200 KiB");
}
