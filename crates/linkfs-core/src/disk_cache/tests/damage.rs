use super::*;

const SIZE: u64 = 3 * BLOCK_SIZE + 17;

/// A filled file that was closed, damaged, and opened again.
fn damaged(damage: impl FnOnce(&Fixture, &Identity)) -> (Fixture, CachedFile) {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    drop(fixture.filled(&identity));
    damage(&fixture, &identity);
    let file = fixture.cache.file(&identity).expect("a file");
    (fixture, file)
}

/// It works again: all can be written and is then found.
fn recovers(file: &CachedFile) {
    fill(file);
    assert_eq!(look_at_all(file), [FoundOnDisk::Found; 4]);
    assert!(file.is_complete());
}

#[test]
fn a_flipped_bit_costs_one_block() {
    for at in [
        0,
        BLOCK_SIZE - 1,
        BLOCK_SIZE,
        2 * BLOCK_SIZE + 4711,
        SIZE - 1,
    ] {
        for mask in [1, 0x80] {
            let (fixture, file) = damaged(|fixture, id| flip(&fixture.data(id), at, mask));
            let bad = at / BLOCK_SIZE;
            assert!(file.has(bad));
            for block in 0..4 {
                let expected = match block == bad {
                    true => FoundOnDisk::Bad,
                    false => FoundOnDisk::Found,
                };
                assert_eq!(look(&file, block), expected, "byte {at}, block {block}");
            }
            assert_eq!(look(&file, bad), FoundOnDisk::Missing, "it was dropped");
            assert!(!file.has(bad) && !file.is_complete());
            let stats = fixture.cache.stats();
            assert_eq!(stats.quarantined, 1);
            let words = &stats.quarantined_blocks[0];
            let place = format!("block {bad} (bytes {} to", bad * BLOCK_SIZE);
            assert!(
                words.starts_with(&place) && words.contains("work:a"),
                "{words}"
            );
            recovers(&file);
        }
    }
}

#[test]
fn damaged_blocks_are_remembered_up_to_a_bound() {
    let fixture = Fixture::new();
    let identity = identity("a", 1);
    let file = fixture.filled(&identity);
    for _ in 0..100 {
        flip(&fixture.data(&identity), 0, 1);
        assert_eq!(look(&file, 0), FoundOnDisk::Bad);
        fill(&file);
    }
    let stats = fixture.cache.stats();
    assert_eq!(
        (stats.quarantined, stats.quarantined_blocks.len()),
        (100, 32)
    );
}

#[test]
fn a_flipped_bit_in_a_record_costs_its_block() {
    for byte in 0..4 * 8 {
        let (_fixture, file) = damaged(|fixture, id| {
            let map = fixture.map(id);
            flip(&map, records_at(&map, id) + byte, 0x10);
        });
        assert_eq!(look(&file, byte / 8), FoundOnDisk::Bad);
        let found = look_at_all(&file).into_iter();
        assert_eq!(
            found.filter(|found| *found == FoundOnDisk::Found).count(),
            3
        );
        recovers(&file);
    }
}

#[test]
fn a_flipped_bit_in_the_header_starts_the_file_anew() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    drop(fixture.filled(&identity));
    let map = fixture.map(&identity);
    let (whole, end) = (fs::read(&map).expect("a map"), records_at(&map, &identity));
    let padding = (24 + identity.encode().len() as u64 + 8)..end - STATE;
    for byte in 0..end {
        let mut bytes = whole.clone();
        bytes[byte as usize] ^= 1 << (byte % 8);
        fs::write(&map, bytes).expect("written");
        let file = fixture.cache.file(&identity).expect("a file");
        let expected = match padding.contains(&byte) {
            true => FoundOnDisk::Found,
            false => FoundOnDisk::Missing,
        };
        assert_eq!(look_at_all(&file), [expected; 4], "byte {byte} of {end}");
        recovers(&file);
    }
}

#[test]
fn a_header_damaged_while_the_file_is_open_does_no_harm() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let file = fixture.filled(&identity);
    let map = fixture.map(&identity);
    for byte in 0..records_at(&map, &identity) {
        flip(&map, byte, 0xff);
    }
    assert_eq!(look_at_all(&file), [FoundOnDisk::Found; 4]);
    assert!(file.passthrough_file().is_none() && file.pin().is_err() && !file.is_pinned());
    let other = fixture.another().file(&identity).expect("a file");
    assert_eq!(look_at_all(&other), [FoundOnDisk::Missing; 4]);
    recovers(&other);
}

#[test]
fn a_map_cut_short_leaves_right_bytes_or_none() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    drop(fixture.filled(&identity));
    let map = fixture.map(&identity);
    let whole = fs::metadata(&map).expect("a map").len();
    for length in (0..whole).chain([whole + 1, whole + 8, whole + 4096]) {
        disk(&map).set_len(length).expect("cut");
        let file = fixture.cache.file(&identity).expect("a file");
        assert_eq!(
            look_at_all(&file),
            [FoundOnDisk::Missing; 4],
            "{length} bytes"
        );
        fill(&file);
    }
}

#[test]
fn a_map_cut_short_while_the_file_is_open_leaves_right_bytes_or_none() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let file = fixture.filled(&identity);
    let map = fixture.map(&identity);
    let (whole, records) = (
        fs::metadata(&map).expect("a map").len(),
        records_at(&map, &identity),
    );
    for length in (0..whole).rev() {
        disk(&map).set_len(length).expect("cut");
        let kept = length.saturating_sub(records) / 8;
        for block in 0..4 {
            let expected = match block < kept {
                true => FoundOnDisk::Found,
                false => FoundOnDisk::Missing,
            };
            assert_eq!(
                look(&file, block),
                expected,
                "{length} bytes, block {block}"
            );
        }
        recovers(&file);
    }
}

#[test]
fn data_cut_short_is_noticed() {
    let lengths = [
        0,
        1,
        BLOCK_SIZE - 1,
        BLOCK_SIZE,
        BLOCK_SIZE + 1,
        3 * BLOCK_SIZE,
        SIZE - 1,
        SIZE + 1,
    ];
    for length in lengths {
        let cut = |fixture: &Fixture, id: &Identity| {
            disk(&fixture.data(id)).set_len(length).expect("cut");
        };
        let (_fixture, file) = damaged(cut);
        assert_eq!(
            look_at_all(&file),
            [FoundOnDisk::Missing; 4],
            "{length} bytes, closed"
        );
        recovers(&file);

        let fixture = Fixture::new();
        let identity = identity("a", SIZE);
        let file = fixture.filled(&identity);
        cut(&fixture, &identity);
        for block in 0..4 {
            let expected = match identity.range(block).end <= length {
                true => FoundOnDisk::Found,
                false => FoundOnDisk::Bad,
            };
            assert_eq!(
                look(&file, block),
                expected,
                "{length} bytes, open, block {block}"
            );
        }
        recovers(&file);
    }
}

#[test]
fn data_cut_short_and_grown_again_is_noticed() {
    let (_fixture, file) = damaged(|fixture, id| {
        let data = disk(&fixture.data(id));
        data.set_len(BLOCK_SIZE + 1).expect("cut");
        data.set_len(SIZE).expect("grown");
    });
    use FoundOnDisk::{Bad, Found};
    assert_eq!(look_at_all(&file), [Found, Bad, Bad, Bad]);
    recovers(&file);
}

#[test]
fn swapped_blocks_are_noticed() {
    let swap = |path: &Path, at: [u64; 2], length: u64| {
        let file = disk(path);
        let parts = at.map(|at| {
            let mut part = vec![0; length as usize];
            file.read_exact_at(&mut part, at).expect("within the file");
            part
        });
        file.write_all_at(&parts[1], at[0]).expect("written");
        file.write_all_at(&parts[0], at[1]).expect("written");
    };
    let (_fixture, file) = damaged(|fixture, id| {
        swap(&fixture.data(id), [0, 2 * BLOCK_SIZE], BLOCK_SIZE);
    });
    use FoundOnDisk::{Bad, Found};
    assert_eq!(look_at_all(&file), [Bad, Found, Bad, Found]);
    recovers(&file);

    let (_fixture, file) = damaged(|fixture, id| {
        swap(&fixture.data(id), [0, 2 * BLOCK_SIZE], BLOCK_SIZE);
        let map = fixture.map(id);
        let records = records_at(&map, id);
        swap(&map, [records, records + 16], 8);
    });
    assert_eq!(
        look_at_all(&file),
        [Bad, Found, Bad, Found],
        "with their records"
    );
}

#[test]
fn swapped_files_are_noticed() {
    let fixture = Fixture::new();
    let [a, b] = ["a", "b"].map(|item| identity(item, SIZE));
    let swap = |path: &dyn Fn(&Identity) -> PathBuf| {
        let aside = fixture.folder.path().join("aside");
        fs::rename(path(&a), &aside).expect("renamed");
        fs::rename(path(&b), path(&a)).expect("renamed");
        fs::rename(&aside, path(&b)).expect("renamed");
    };
    drop((fixture.filled(&a), fixture.filled(&b)));
    swap(&|id| fixture.data(id));
    let file = fixture.cache.file(&a).expect("a file");
    assert_eq!(look_at_all(&file), [FoundOnDisk::Bad; 4]);
    recovers(&file);
    drop(file);

    swap(&|id| fixture.data(id));
    swap(&|id| fixture.map(id));
    let file = fixture.cache.file(&a).expect("a file");
    assert_eq!(look_at_all(&file), [FoundOnDisk::Missing; 4]);
    recovers(&file);
}

#[test]
fn files_deleted_while_they_are_open_do_no_harm() {
    for (map_goes, data_goes) in [(true, false), (false, true), (true, true)] {
        let fixture = Fixture::new();
        let identity = identity("a", SIZE);
        let file = fixture.filled(&identity);
        if map_goes {
            fs::remove_file(fixture.map(&identity)).expect("deleted");
        }
        if data_goes {
            fs::remove_file(fixture.data(&identity)).expect("deleted");
        }
        assert_eq!(look_at_all(&file), [FoundOnDisk::Found; 4]);
        assert!(file.write(1, &truth(&identity, 1)));
        let anew = fixture.cache.file(&identity).expect("a file");
        assert_eq!(look_at_all(&anew), [FoundOnDisk::Missing; 4]);
        recovers(&anew);
        drop(file);
        assert_eq!(look_at_all(&anew), [FoundOnDisk::Found; 4]);
    }
}

#[test]
fn the_whole_folder_may_be_deleted() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let file = fixture.filled(&identity);
    fs::remove_dir_all(fixture.folder.path()).expect("deleted");
    assert_eq!(look_at_all(&file), [FoundOnDisk::Found; 4]);
    file.forget().expect("forgotten");
    fixture.cache.evict();
    assert_eq!(fixture.cache.stats().paused, None);
    recovers(&fixture.cache.file(&identity).expect("a file"));
}

#[test]
fn what_stands_in_the_place_of_a_file_does_no_harm() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let precious = fixture.folder.path().join("precious");
    for make in [
        |_: &Path, path: &Path| fs::create_dir(path).expect("made"),
        |target: &Path, path: &Path| std::os::unix::fs::symlink(target, path).expect("made"),
    ] {
        for path in [fixture.map(&identity), fixture.data(&identity)] {
            fs::write(&precious, b"not ours").expect("written");
            make(&precious, &path);
            if let Ok(file) = fixture.cache.file(&identity) {
                assert_eq!(look_at_all(&file), [FoundOnDisk::Missing; 4]);
            }
            assert_eq!(fs::read(&precious).expect("there"), b"not ours");
            let _was_folder = fs::remove_dir(&path);
            let _was_file = fs::remove_file(&path);
        }
    }
}

#[test]
fn a_block_found_damaged_by_many_at_once_is_counted_once() {
    const READERS: usize = 8;
    for _ in 0..50 {
        let (fixture, file) = damaged(|fixture, id| flip(&fixture.data(id), 0, 1));
        let together = std::sync::Barrier::new(READERS);
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    together.wait();
                    assert_ne!(look(&file, 0), FoundOnDisk::Found);
                });
            }
        });
        assert_eq!(fixture.cache.stats().quarantined, 1);
    }
}
