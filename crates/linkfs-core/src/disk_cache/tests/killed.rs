use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "LINKFS_TEST_KILLED_FOLDER";
const NAME: &str = concat!(
    "disk_cache::tests::killed::",
    "a_process_killed_at_any_moment_leaves_missing_blocks_at_most"
);
const BLOCKS: u64 = 64;

fn large() -> Identity {
    identity("large", BLOCKS * BLOCK_SIZE)
}

/// Runs as two: with the variable set, as the process that writes until it is killed.
#[test]
fn a_process_killed_at_any_moment_leaves_missing_blocks_at_most() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_for_ever(Path::new(&folder));
    }
    let fixture = Fixture::new();
    let mut found = Vec::new();
    for round in 0..16 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--nocapture", NAME])
            .env(FOLDER, fixture.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs again");
        // Open until it is dead: a writer whose reader is gone would end by itself.
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let lines = output.by_ref().lines().map(|line| line.expect("a line"));
        let writes = lines.filter(|line| line == "written");
        let count = 20 + round * 7;
        assert_eq!(writes.take(count).count(), count);
        child.kill().expect("killed");
        child.wait().expect("gone");
        let file = fixture.another().file(&large()).expect("a file");
        found.extend(look_at_all(&file));
    }
    assert!(found.contains(&FoundOnDisk::Found), "it had written");
    assert!(!found.contains(&FoundOnDisk::Bad), "a kill damages nothing");
}

/// Now and then it starts the file anew, so that it is killed while making one, too.
fn write_for_ever(folder: &Path) -> ! {
    let cache = open(folder, NO_LIMIT);
    let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|block| truth(&large(), block)).collect();
    loop {
        let file = cache.file(&large()).expect("a file");
        for (block, bytes) in (0..).zip(&blocks) {
            file.write(block, bytes);
            println!("written");
        }
        file.forget().expect("forgotten");
    }
}

/// What is on disk after each step of making a file, and no other.
#[test]
fn a_file_made_by_half_is_made_anew() {
    let fixture = Fixture::new();
    let identity = identity("a", BLOCK_SIZE + 17);
    drop(fixture.filled(&identity));
    let map = fixture.map(&identity);
    let (whole, records) = (
        fs::read(&map).expect("a map"),
        records_at(&map, &identity) as usize,
    );
    let mut without_header = vec![0; whole.len()];
    without_header[records - STATE as usize..records]
        .copy_from_slice(&whole[records - STATE as usize..records]);
    for left in [
        None,
        Some(vec![]),
        Some(vec![0; whole.len()]),
        Some(without_header),
    ] {
        let _made = fs::remove_file(&map);
        if let Some(left) = &left {
            fs::write(&map, left).expect("written");
        }
        let file = fixture.cache.file(&identity).expect("a file");
        assert_eq!(look_at_all(&file), [FoundOnDisk::Missing; 2]);
        fill(&file);
        assert_eq!(look_at_all(&file), [FoundOnDisk::Found; 2]);
    }
}

/// What a power cut leaves of writes that were never synced.
#[test]
fn data_lost_behind_its_record_is_noticed() {
    let fixture = Fixture::new();
    let identity = identity("a", 2 * BLOCK_SIZE);
    drop(fixture.filled(&identity));
    let data = disk(&fixture.data(&identity));
    data.write_all_at(&[0; BLOCK_SIZE as usize / 2], BLOCK_SIZE)
        .expect("lost");
    let file = fixture.cache.file(&identity).expect("a file");
    assert_eq!(look_at_all(&file), [FoundOnDisk::Found, FoundOnDisk::Bad]);
}

#[test]
fn data_without_a_record_is_missing() {
    let fixture = Fixture::new();
    let identity = identity("a", 2 * BLOCK_SIZE);
    let file = fixture.cache.file(&identity).expect("a file");
    let data = disk(&fixture.data(&identity));
    data.write_all_at(&truth(&identity, 1), BLOCK_SIZE)
        .expect("written");
    assert_eq!(look_at_all(&file), [FoundOnDisk::Missing; 2]);
}
