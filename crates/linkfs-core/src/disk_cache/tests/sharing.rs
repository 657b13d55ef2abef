use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::entity_tag::EntityTag;

const SIZE: u64 = 40 * BLOCK_SIZE + 17;

#[test]
fn what_another_process_wrote_is_found() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let reader = fixture.another().file(&identity).expect("a file");
    assert!(!reader.has(40));
    let writer = fixture.cache.file(&identity).expect("a file");
    assert!(writer.write(40, &truth(&identity, 40)));
    assert!(reader.has(40));
    assert_eq!(look(&reader, 40), FoundOnDisk::Found);
    fill(&writer);
    assert!(reader.is_complete());
}

#[test]
fn a_block_that_another_process_dropped_is_missing() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let file = fixture.filled(&identity);
    let other = fixture.another().file(&identity).expect("a file");
    flip(&fixture.data(&identity), 3 * BLOCK_SIZE, 1);
    assert_eq!(look(&file, 3), FoundOnDisk::Bad);
    assert_eq!(look(&other, 3), FoundOnDisk::Missing);
    assert!(!other.is_complete());
}

#[test]
fn processes_that_make_a_file_at_once_get_the_same() {
    for round in 0..20 {
        let fixture = Fixture::new();
        let identity = identity(&format!("round {round}"), BLOCK_SIZE);
        let caches: Vec<DiskCache> = (0..4).map(|_| fixture.another()).collect();
        let start = Barrier::new(caches.len());
        let files: Vec<CachedFile> = thread::scope(|scope| {
            let openings: Vec<_> = caches
                .iter()
                .map(|cache| {
                    scope.spawn(|| {
                        start.wait();
                        cache.file(&identity).expect("a file")
                    })
                })
                .collect();
            let joined = openings
                .into_iter()
                .map(|opening| opening.join().expect("no panic"));
            joined.collect()
        });
        fill(&files[0]);
        for file in &files {
            assert_eq!(look(file, 0), FoundOnDisk::Found);
        }
    }
}

/// Fills, reads, damages, evicts and forgets, all at once, over one folder.
#[test]
fn processes_at_work_on_one_file_never_read_wrong_bytes() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let data = fixture.data(&identity);
    let work = |number: u64| {
        // Room for about half of the file: evictions are tried all the time.
        let cache = open(fixture.folder.path(), 20 * BLOCK_SIZE);
        for round in 0..6 {
            let file = cache.file(&identity);
            let Ok(file) = file else { continue };
            for step in 0..41 {
                let block = (step * (number * 2 + 1) + round) % 41;
                if look(&file, block) != FoundOnDisk::Found {
                    file.write(block, &truth(&identity, block));
                }
                if (step + number).is_multiple_of(16)
                    && let Ok(data) = OpenOptions::new().write(true).open(&data)
                {
                    let place = identity.range(block).start + step;
                    data.write_all_at(b"damage", place).expect("written");
                }
            }
            if (round + number).is_multiple_of(3) {
                file.forget().expect("forgotten");
            }
            drop(file);
            cache.evict();
        }
    };
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || work(number));
        }
    });
    let file = fixture.cache.file(&identity).expect("a file");
    for block in 0..41 {
        look(&file, block);
    }
    fill(&file);
    for block in 0..41 {
        look(&file, block);
    }
}

#[test]
fn state_changed_by_two_processes_is_not_lost() {
    let fixture = Fixture::new();
    let identity = identity("a", 5);
    let files =
        [&fixture.cache, &fixture.another()].map(|cache| cache.file(&identity).expect("a file"));
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for _ in 0..2000 {
                files[0].pin().expect("pinned");
                assert!(files[0].is_pinned());
                files[0].unpin().expect("unpinned");
                assert!(!files[0].is_pinned());
            }
        });
        scope.spawn(|| {
            use super::super::Verified::{No, Yes};
            start.wait();
            for verified in [Yes, No].repeat(2000) {
                files[1].set_verified(verified).expect("written down");
                assert_eq!(files[1].verified(), verified);
            }
        });
    });
}

/// A read may see half of what another process is writing.
#[test]
fn state_that_another_process_is_writing_does_not_look_damaged() {
    let fixture = Fixture::new();
    let identity = identity("a", 5);
    let writer = fixture.filled(&identity);
    writer.pin().expect("pinned");
    let another = fixture.another();
    let reader = another.file(&identity).expect("a file");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut state = writer.state().expect("a state");
            while !is_over.load(Ordering::Relaxed) {
                // Written more often than any process would, but under the same lock.
                let _lock = writer.shared.folder.lock().expect("the lock");
                for size in 0..100 {
                    state.tag = Some(EntityTag(size));
                    writer.map.set_state(&state).expect("written down");
                }
            }
        });
        let damaged = (0..20_000).filter(|_| !reader.is_pinned()).count();
        let missing = (0..2_000)
            .filter(|_| !matches!(another.find(&identity), Ok(Some(_))))
            .count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!((damaged, missing), (0, 0));
    });
}
