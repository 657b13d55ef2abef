//! Random work and random damage. Whatever happens: right bytes or none, and what was kept is found as long as
//! nobody damaged, forgot or evicted it.

use std::collections::HashSet;
use std::io::Read;

use proptest::prelude::*;

use super::super::{Verification, Verified};
use super::*;

const SIZES: [u64; 4] = [0, 17, BLOCK_SIZE, 3 * BLOCK_SIZE + 17];
const CACHES: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Open {
        cache: usize,
        file: usize,
    },
    Close {
        cache: usize,
        file: usize,
    },
    Write {
        cache: usize,
        file: usize,
        block: u64,
    },
    Read {
        cache: usize,
        file: usize,
        block: u64,
    },
    Forget {
        cache: usize,
        file: usize,
    },
    Verify {
        cache: usize,
        file: usize,
    },
    PassThrough {
        cache: usize,
        file: usize,
    },
    SetVerified {
        cache: usize,
        file: usize,
        is_right: bool,
    },
    Pin {
        cache: usize,
        file: usize,
        is_pinned: bool,
    },
    Evict {
        everything: bool,
    },
    Damage {
        file: usize,
        kind: Damage,
        of_map: bool,
        at: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Cut,
    Zero,
    Delete,
    /// Another file's in its place.
    Swap,
    /// An older copy of itself in its place.
    Rewind,
    CopyWithin,
}

fn damage() -> impl Strategy<Value = Damage> {
    use Damage::{CopyWithin, Cut, Delete, Flip, Rewind, Swap, Zero};
    prop::sample::select(vec![Flip, Cut, Zero, Delete, Swap, Rewind, CopyWithin])
}

fn step(with_damage: bool) -> impl Strategy<Value = Step> {
    let place = || (0..CACHES, 0..SIZES.len());
    let block = || (0..CACHES, 0..SIZES.len(), 0..4u64);
    let flag = || (0..CACHES, 0..SIZES.len(), any::<bool>());
    prop_oneof![
        3 => place().prop_map(|(cache, file)| Step::Open { cache, file }),
        2 => place().prop_map(|(cache, file)| Step::Close { cache, file }),
        12 => block().prop_map(|(cache, file, block)| Step::Write { cache, file, block }),
        8 => block().prop_map(|(cache, file, block)| Step::Read { cache, file, block }),
        1 => place().prop_map(|(cache, file)| Step::Forget { cache, file }),
        4 => place().prop_map(|(cache, file)| Step::Verify { cache, file }),
        4 => place().prop_map(|(cache, file)| Step::PassThrough { cache, file }),
        1 => flag().prop_map(|(cache, file, is_right)| Step::SetVerified { cache, file, is_right }),
        1 => flag().prop_map(|(cache, file, is_pinned)| Step::Pin { cache, file, is_pinned }),
        1 => any::<bool>().prop_map(|everything| Step::Evict { everything }),
        if with_damage { 6 } else { 1 } =>
            (0..SIZES.len(), damage(), any::<bool>(), any::<u64>()).prop_map(
                move |(file, kind, of_map, at)| match with_damage {
                    true => Step::Damage { file, kind, of_map, at },
                    false => Step::Evict { everything: true },
                }
            ),
    ]
}

/// Two caches over one folder, and what must be in it.
struct World {
    fixture: Fixture,
    caches: Vec<DiskCache>,
    identities: Vec<Identity>,
    open: Vec<Vec<Option<CachedFile>>>,
    kept: HashSet<(usize, u64)>,
    pinned: HashSet<usize>,
    refused: HashSet<usize>,
    is_damaged: bool,
    copies: Vec<[Option<Vec<u8>>; 2]>,
}

impl World {
    fn new() -> World {
        let fixture = Fixture::new();
        World {
            caches: (0..CACHES).map(|_| fixture.another()).collect(),
            fixture,
            identities: (0..)
                .zip(SIZES)
                .map(|(n, size)| identity(&format!("file {n}"), size))
                .collect(),
            open: (0..CACHES).map(|_| SIZES.map(|_| None).into()).collect(),
            kept: HashSet::new(),
            pinned: HashSet::new(),
            refused: HashSet::new(),
            is_damaged: false,
            copies: SIZES.map(|_| [None, None]).into(),
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Open { cache, file } => self.open(cache, file),
            Step::Close { cache, file } => self.open[cache][file] = None,
            Step::Write { cache, file, block } => self.write(cache, file, block),
            Step::Read { cache, file, block } => self.read(cache, file, block),
            Step::Forget { cache, file } => self.forget(cache, file),
            Step::Verify { cache, file } => self.verify(cache, file),
            Step::PassThrough { cache, file } => self.pass_through(cache, file),
            Step::SetVerified {
                cache,
                file,
                is_right,
            } => self.set_verified(cache, file, is_right),
            Step::Pin {
                cache,
                file,
                is_pinned,
            } => self.pin(cache, file, is_pinned),
            Step::Evict { everything } => self.evict(everything),
            Step::Damage {
                file,
                kind,
                of_map,
                at,
            } => self.damage(file, kind, of_map, at),
        }
    }

    fn open(&mut self, cache: usize, file: usize) {
        let opened = self.caches[cache]
            .file(&self.identities[file])
            .expect("a file");
        if !self.is_damaged {
            let kept = self.kept.iter().filter(|(of, _)| *of == file).count();
            assert_eq!(opened.blocks_present(), kept as u64);
            assert_eq!(opened.is_pinned(), self.pinned.contains(&file));
        }
        self.open[cache][file] = Some(opened);
    }

    fn write(&mut self, cache: usize, file: usize, block: u64) {
        let Some(opened) = &self.open[cache][file] else {
            return;
        };
        if block >= opened.identity().blocks() {
            return;
        }
        let is_kept = opened.write(block, &truth(opened.identity(), block));
        assert!(
            is_kept || self.is_damaged,
            "nothing keeps it from being written"
        );
        self.kept.insert((file, block));
    }

    fn read(&self, cache: usize, file: usize, block: u64) {
        let Some(opened) = &self.open[cache][file] else {
            return;
        };
        let found = look(opened, block);
        if !self.is_damaged {
            let expected = match self.kept.contains(&(file, block)) {
                true => FoundOnDisk::Found,
                false => FoundOnDisk::Missing,
            };
            assert_eq!(found, expected);
        }
    }

    /// Everyone closes it, as they do when a content has changed.
    fn forget(&mut self, cache: usize, file: usize) {
        let Some(opened) = self.open[cache][file].take() else {
            return;
        };
        opened.forget().expect("forgotten");
        assert!((0..4).all(|block| look(&opened, block) == FoundOnDisk::Missing));
        for other in &mut self.open {
            if let Some(other) = other[file].take()
                && !self.is_damaged
            {
                assert!((0..4).all(|block| look(&other, block) == FoundOnDisk::Missing));
                assert!(other.passthrough_file().is_none());
            }
        }
        self.lose(file);
    }

    fn lose(&mut self, file: usize) {
        self.kept.retain(|(of, _)| *of != file);
        self.pinned.remove(&file);
        self.refused.remove(&file);
    }

    fn is_whole(&self, file: usize) -> bool {
        (0..self.identities[file].blocks()).all(|block| self.kept.contains(&(file, block)))
    }

    fn verify(&self, cache: usize, file: usize) {
        let Some(opened) = &self.open[cache][file] else {
            return;
        };
        let mut seen = Vec::new();
        let result = opened.verify_all(|bytes| {
            seen.extend_from_slice(bytes);
        });
        match result {
            Ok(Verification::Right) => assert!(seen == self.whole(file), "wrong bytes"),
            Ok(Verification::Incomplete { .. }) => assert!(self.is_damaged || !self.is_whole(file)),
            other => assert!(self.is_damaged, "{other:?}"),
        }
    }

    fn whole(&self, file: usize) -> Vec<u8> {
        let identity = &self.identities[file];
        (0..identity.blocks())
            .flat_map(|block| truth(identity, block))
            .collect()
    }

    fn pass_through(&self, cache: usize, file: usize) {
        let Some(opened) = &self.open[cache][file] else {
            return;
        };
        let passed = opened.passthrough_file();
        if let Some(mut data) = passed {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes).expect("read");
            assert!(bytes == self.whole(file), "wrong bytes passed through");
            assert!(self.is_damaged || !self.refused.contains(&file));
        }
    }

    fn set_verified(&mut self, cache: usize, file: usize, is_right: bool) {
        let Some(opened) = &self.open[cache][file] else {
            return;
        };
        let verified = if is_right {
            Verified::Yes
        } else {
            Verified::No
        };
        let written = opened.set_verified(verified);
        assert!(written.is_ok() || self.is_damaged, "{written:?}");
        if is_right {
            self.refused.remove(&file);
        } else {
            self.refused.insert(file);
            assert!(opened.passthrough_file().is_none());
        }
    }

    fn pin(&mut self, cache: usize, file: usize, is_pinned: bool) {
        let Some(opened) = &self.open[cache][file] else {
            return;
        };
        let pinned = if is_pinned {
            opened.pin()
        } else {
            opened.unpin()
        };
        assert!(pinned.is_ok() || self.is_damaged, "{pinned:?}");
        if is_pinned {
            self.pinned.insert(file);
        } else {
            self.pinned.remove(&file);
        }
    }

    fn evict(&mut self, everything: bool) {
        let limit = if everything { 0 } else { NO_LIMIT };
        drop(open(self.fixture.folder.path(), limit));
        if !everything {
            return;
        }
        for file in 0..SIZES.len() {
            let is_open = self.open.iter().any(|open| open[file].is_some());
            if !is_open && !self.pinned.contains(&file) {
                self.lose(file);
            }
        }
    }

    fn path(&self, file: usize, of_map: bool) -> PathBuf {
        match of_map {
            true => self.fixture.map(&self.identities[file]),
            false => self.fixture.data(&self.identities[file]),
        }
    }

    fn damage(&mut self, file: usize, kind: Damage, of_map: bool, at: u64) {
        self.is_damaged = true;
        let path = self.path(file, of_map);
        let Ok(bytes) = fs::read(&path) else { return };
        let copy = self.copies[file][usize::from(of_map)].replace(bytes.clone());
        let length = bytes.len() as u64;
        match kind {
            Damage::Flip if length > 0 => flip(&path, at % length, 1 << (at % 8)),
            Damage::Cut => disk(&path).set_len(at % (length + 1)).expect("cut"),
            Damage::Zero if length > 0 => {
                let start = at % length;
                let zeros = vec![0; (length - start).min(5000) as usize];
                disk(&path).write_all_at(&zeros, start).expect("written");
            }
            Damage::Delete => fs::remove_file(&path).expect("deleted"),
            Damage::Swap => {
                let other = self.path(at as usize % SIZES.len(), of_map);
                if other.exists() {
                    let aside = self.fixture.folder.path().join("aside");
                    fs::rename(&path, &aside).expect("renamed");
                    if other.exists() {
                        fs::rename(&other, &path).expect("renamed");
                    }
                    fs::rename(&aside, &other).expect("renamed");
                }
            }
            Damage::Rewind => {
                if let Some(copy) = copy {
                    fs::write(&path, copy).expect("written");
                }
            }
            Damage::CopyWithin if length > 1 => {
                let (from, to) = (at % length, (at >> 32) % length);
                let size = (length - from.max(to)).min(BLOCK_SIZE) as usize;
                let part = &bytes[from as usize..from as usize + size];
                disk(&path).write_all_at(part, to).expect("written");
            }
            Damage::Flip | Damage::Zero | Damage::CopyWithin => {}
        }
    }

    /// After all of it, a file can be filled and is then there.
    fn recover(&mut self) {
        self.open.clear();
        for identity in &self.identities {
            let file = self.caches[0].file(identity).expect("a file");
            let _quarantined = look_at_all(&file);
            fill(&file);
            assert!(file.is_complete());
            assert!(
                look_at_all(&file)
                    .iter()
                    .all(|found| *found == FoundOnDisk::Found)
            );
        }
    }
}

fn run_all(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.run(step);
    }
    world.recover();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_kept_is_found(steps in prop::collection::vec(step(false), 1..80)) {
        run_all(&steps);
    }

    #[test]
    fn damage_never_shows_as_wrong_bytes(steps in prop::collection::vec(step(true), 1..80)) {
        run_all(&steps);
    }
}
