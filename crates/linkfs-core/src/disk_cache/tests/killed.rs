use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "LINKFS_TEST_KILLED_FOLDER";
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
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--nocapture"])
            .arg("disk_cache::tests::killed::a_process_killed_at_any_moment_leaves_missing_blocks_at_most")
            .env(FOLDER, fixture.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs again");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let writes = output
            .lines()
            .filter(|line| line.as_ref().is_ok_and(|line| line == "written"));
        assert_eq!(writes.take(20 + round * 7).count(), 20 + round * 7);
        child.kill().expect("killed");
        child.wait().expect("gone");
        let file = fixture.another().file(&large()).expect("a file");
        let found: Vec<FoundOnDisk> = look_at_all(&file);
        assert!(found.contains(&FoundOnDisk::Found), "something is kept");
        assert!(!found.contains(&FoundOnDisk::Bad), "a kill damages nothing");
    }
}

/// Now and then it starts the file anew, so that it is killed while making one, too.
fn write_for_ever(folder: &Path) -> ! {
    let cache = open(folder, NO_LIMIT);
    loop {
        let file = cache.file(&large()).expect("a file");
        for block in 0..BLOCKS {
            file.write(block, &truth(&large(), block));
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
    without_header[records - 64..records].copy_from_slice(&whole[records - 64..records]);
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
