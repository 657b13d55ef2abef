//! What ordinary commands cost the drive, by the emulator's own counters.

use std::path::Path;
use std::process::{Command, Stdio};

use linkfs_emulator::koodrive::{Emulator, Options};
use linkfs_emulator::{Counts, ROOT_ID, Tree};
use linkfs_tests::{Mounted, mib, shell, tree_with_file};

/// A folder `many` with `count` small files of different content.
fn tree_with_folder(count: u64) -> Tree {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "many");
    for number in 0..count {
        tree.add_generated(&folder, &format!("file {number:04}"), number, 1000 + number);
    }
    tree
}

fn start(tree: Tree) -> (Emulator, Mounted) {
    let emulator = Emulator::start_blocking(Options::with_tree(tree)).expect("the emulator starts");
    let mount = Mounted::new(&emulator);
    emulator.counters().reset();
    (emulator, mount)
}

/// Runs a line in the mount and gives what it cost.
#[track_caller]
fn cost(emulator: &Emulator, mount: &Mounted, line: &str) -> Counts {
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

#[test]
fn listing_costs_one_call_per_page_and_nothing_per_file() {
    let (emulator, mount) = start(tree_with_folder(250));
    let first = cost(&emulator, &mount, r#"test "$(ls -l many | wc -l)" = 251"#);
    assert_eq!(
        (calls(&first, "list"), all_calls(&first)),
        (3, 3),
        "{first:?}"
    );
    for line in [
        "ls -l many",
        "find . -size +1k",
        "du -a --apparent-size many",
        "stat many/*",
        "ls -lR .",
    ] {
        let again = cost(&emulator, &mount, line);
        assert_eq!(all_calls(&again), 0, "{line}: {again:?}");
    }
}

#[test]
fn a_known_folder_answers_stat_misses_and_df_from_memory() {
    let (emulator, mount) = start(tree_with_folder(20));
    cost(&emulator, &mount, "ls many");
    for line in [
        "stat 'many/file 0003'",
        "! stat many/missing",
        "! test -e many/missing",
        "df many",
        "getfattr -n user.linkfs.id many/*",
    ] {
        let counts = cost(&emulator, &mount, line);
        assert_eq!(
            (all_calls(&counts), counts.data_requests),
            (0, 0),
            "{line}: {counts:?}"
        );
    }
}

#[test]
fn reading_every_file_of_a_folder_signs_in_batches() {
    let (emulator, mount) = start(tree_with_folder(500));
    let counts = cost(&emulator, &mount, "cat many/* | wc -c");
    assert!(calls(&counts, "download") <= 6, "{:?}", counts.calls);
    assert_eq!(calls(&counts, "list"), 5);
    assert_eq!(counts.data_requests, 500, "one range each");
    assert!(
        counts
            .download_batches
            .iter()
            .all(|batch| batch.len() <= 100)
    );
    let again = cost(&emulator, &mount, "cat many/* | wc -c");
    assert_eq!(
        (all_calls(&again), again.data_requests),
        (0, 0),
        "the second time: {:?}",
        again.calls
    );
}

#[test]
fn a_large_file_costs_one_link_and_its_bytes_once() {
    let (tree, id) = tree_with_file("one-gigabyte.bin", 42, mib(1024));
    let (emulator, mount) = start(tree);
    let counts = cost(&emulator, &mount, "cat one-gigabyte.bin > /dev/null");
    assert_eq!(calls(&counts, "download"), 1);
    let bytes = counts.files[&id].bytes;
    assert!(
        bytes >= mib(1024) && bytes <= mib(1024) / 100 * 102,
        "{bytes} bytes served"
    );
}

#[test]
fn two_readers_at_once_do_not_double_the_bytes() {
    let (tree, id) = tree_with_file("shared.bin", 43, mib(256));
    let (emulator, mount) = start(tree);
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

#[test]
fn a_folder_wanted_by_many_at_once_is_listed_once() {
    let (emulator, mount) = start(tree_with_folder(150));
    let counts = cost(
        &emulator,
        &mount,
        "for reader in $(seq 16); do stat \"many/file 00$((reader + 10))\" > /dev/null & done; wait",
    );
    assert_eq!(
        (calls(&counts, "list"), all_calls(&counts)),
        (2, 2),
        "{:?}",
        counts.calls
    );
}

#[test]
fn a_small_random_read_of_a_large_file_fetches_little_more() {
    let (tree, id) = tree_with_file("large.bin", 44, mib(512));
    let (emulator, mount) = start(tree);
    // 50 reads of 4 KiB, each a jump, without the kernel's pages.
    cost(
        &emulator,
        &mount,
        "for n in $(seq 50); do dd if=large.bin of=/dev/null bs=4096 count=1 skip=$((n * 2617)) iflag=direct status=none; done",
    );
    let bytes = emulator.counters().snapshot().files[&id].bytes;
    assert!(bytes <= 50 * 512 * 1024, "{bytes} bytes served for 200 KiB");
}
