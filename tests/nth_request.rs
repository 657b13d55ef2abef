//! One fixed piece of work, with each of its requests failing once, in each way: the work ends in the right
//! bytes or in the documented error, in time, and leaves nothing behind.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use linkfs_emulator::{Action, CallNames, EmulatedDrive, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    DriveKind, Mounted, assert_at_rest, errno, eventually, mib, on_every_drive, read_all,
    true_bytes, within,
};

on_every_drive! {
    fn any_request_may_fail_once,
}

/// The deadline of the mounts here: a call or a transfer that stays silent is made again in time.
const DEADLINE: &str = "4s";
/// No step of the work may take longer: one of its requests has the deadline before it, and a busy machine.
const LIMIT: Duration = Duration::from_secs(9);
/// Folders with the same files: each failing request strikes a fresh one.
const PLACES: usize = 40;
/// A folder's files take two pages of these.
const PAGE: usize = 4;
/// Where the large file is read: each a jump.
const JUMPS: [u64; 4] = [200, 20, 120, 60];
const JUMP_LENGTH: usize = 5000;

/// One way in which a request fails.
struct Fault {
    action: Action,
    /// Whether only answers with a range can have it.
    is_of_ranges: bool,
    /// The error that may be seen when it strikes a call of the API once, and when it strikes a range.
    once: [Option<i32>; 2],
    /// The error that is seen when it does not pass; `None` where it does not keep the work from its end, or
    /// would take long.
    lasting: Option<i32>,
}

impl Fault {
    /// One that nobody may notice when it passes.
    fn new(action: Action) -> Fault {
        Fault {
            is_of_ranges: matches!(
                action,
                Action::WrongContentRange { .. }
                    | Action::IgnoreRange
                    | Action::StallBody { .. }
                    | Action::ShortBody { .. }
            ),
            action,
            once: [None, None],
            lasting: None,
        }
    }

    fn lasting(action: Action, error: i32) -> Fault {
        Fault {
            lasting: Some(error),
            ..Fault::new(action)
        }
    }

    fn once(&self, call: &str) -> Option<i32> {
        self.once[usize::from(call == "data")]
    }
}

fn status(code: u16) -> Action {
    Action::Status {
        code,
        retry_after: None,
        body: None,
    }
}

fn faults(kind: DriveKind) -> Vec<Fault> {
    let garbage = |body: Option<&str>| Action::Garbage {
        body: body.map(str::to_owned),
    };
    // A token that was given once and for all, and is refused, is not tried again.
    let refused = (kind == DriveKind::KooDrive).then_some(libc::EACCES);
    let forbidden = (kind == DriveKind::Pds).then_some(libc::EACCES);
    vec![
        Fault::lasting(status(429), libc::EBUSY),
        Fault::lasting(status(500), libc::EHOSTDOWN),
        Fault::lasting(status(503), libc::EHOSTDOWN),
        Fault::lasting(Action::CloseConnection, libc::EHOSTDOWN),
        Fault::lasting(Action::NeverAnswer, libc::ETIMEDOUT),
        Fault::lasting(garbage(None), libc::EIO),
        Fault::lasting(garbage(Some("{}")), libc::EIO),
        Fault::lasting(Action::WrongContentRange { shift: 4096 }, libc::EIO),
        Fault::lasting(Action::IgnoreRange, libc::EIO),
        Fault::lasting(Action::ShortBody { at: 1003 }, libc::EIO),
        Fault::new(Action::CutBody { at: 1003 }),
        Fault::new(Action::ResetBody { at: 17 }),
        Fault::new(Action::StallBody { at: 1003 }),
        Fault {
            once: [refused, None],
            ..Fault::lasting(status(401), libc::EACCES)
        },
        Fault {
            once: [forbidden, None],
            ..Fault::new(status(403))
        },
        // What only drips may be found out too late for another try.
        Fault {
            once: [None, Some(libc::ETIMEDOUT)],
            ..Fault::new(Action::DripBody {
                bytes: 500,
                pause_ms: 100,
            })
        },
    ]
}

/// A mounted drive with many folders alike.
struct Scene {
    emulator: Box<dyn EmulatedDrive>,
    mount: Mounted,
    places: Vec<Place>,
}

/// A folder, by its path and the ids of its files.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    tree: Tree,
    small: String,
    medium: String,
    large: String,
    medium_id: String,
}

const NAMES: [&str; 6] = ["a.txt", "b.txt", "c.txt", "large", "medium", "small"];

impl Scene {
    fn new(kind: DriveKind) -> Scene {
        let tree = Tree::new();
        let folders: Vec<_> = (0..PLACES)
            .map(|number| tree.add_folder(ROOT_ID, &format!("{number}")))
            .collect();
        let setup = kind.setup(tree.clone()).knob("page_items_max", PAGE);
        let emulator = setup.start();
        let mount = Mounted::builder(&*emulator)
            .deadline(DEADLINE)
            .listing_ttl("10m")
            .mount();
        let places = folders.iter().enumerate().map(|(number, folder)| {
            for name in &NAMES[..3] {
                tree.add_file(folder, name, *name);
            }
            let seed = 10 * number as u64;
            let medium = tree.add_generated(folder, "medium", seed + 1, mib(3) + 12_345);
            Place {
                path: mount.path(&format!("{number}")),
                small: tree.add_generated(folder, "small", seed, 10_007),
                large: tree.add_generated(folder, "large", seed + 2, mib(256)),
                medium_id: emulator.wire_id(&medium),
                tree: tree.clone(),
                medium,
            }
        });
        let places = places.collect();
        fs::read_dir(mount.folder()).expect("the top is listed");
        Scene {
            emulator,
            mount,
            places,
        }
    }

    /// Does the work in a fresh folder while the `n`-th of its requests fails; says whether it had so many.
    #[track_caller]
    fn fail_once(&self, fault: &Fault, (call, n): (&str, u64), place: &Place) -> bool {
        let rule = Rule::on(call, fault.action.clone()).nth(n);
        let (seen, is_struck) = self.seen_under(&rule, || place.steps().collect::<Vec<_>>());
        let allowed = fault.once(call).filter(|_| is_struck);
        let mut errors = seen.iter().filter_map(|(_, end)| end.err());
        assert!(
            errors.all(|error| allowed == Some(error)),
            "{rule:?}: {seen:?}"
        );
        self.assert_well(place);
        is_struck
    }

    /// The same while it fails and all that follow do, up to the first error that is seen.
    #[track_caller]
    fn fail_for_good(&self, fault: &Fault, (call, n): (&str, u64), place: &Place) -> bool {
        let rule = Rule::on(call, fault.action.clone()).from(n);
        let first_error = || place.steps().find(|(_, end)| end.is_err());
        let (seen, is_struck) = self.seen_under(&rule, first_error);
        let expected = fault.lasting.filter(|_| is_struck);
        let error = seen.and_then(|(_, end)| end.err());
        assert_eq!(error, expected, "{rule:?}: {seen:?}");
        self.assert_well(place);
        is_struck
    }

    /// What `work` sees under a rule, and whether that has struck.
    fn seen_under<T>(&self, rule: &Rule, work: impl FnOnce() -> T) -> (T, bool) {
        let faults = self.emulator.faults();
        faults.add(rule.clone());
        let seen = work();
        let is_struck = faults.hits()[0].1 > 0;
        faults.clear();
        (seen, is_struck)
    }

    /// Nothing is left of a failure: the work can be done, and no handle, memory or connection is held.
    #[track_caller]
    fn assert_well(&self, place: &Place) {
        eventually("all is well again", || {
            place.steps().all(|(_, end)| end.is_ok())
        });
        assert_at_rest(&*self.emulator, &self.mount);
        eventually("nobody sends to nobody", || {
            self.emulator.counters().snapshot().open_streams == 0
        });
    }
}

/// A step of the work.
type Step = fn(&Place) -> Result<(), i32>;

impl Place {
    /// The work, step by step; what a step saw is right, or it saw an error.
    fn steps(&self) -> impl Iterator<Item = (&'static str, Result<(), i32>)> {
        let steps: [(&str, Step); 6] = [
            ("list", Place::list),
            ("stat", Place::stat),
            ("read a small file", Place::read_small),
            ("read a file", Place::read_medium),
            ("jump", Place::jump),
            ("getfattr", Place::ask_attribute),
        ];
        steps.into_iter().map(|(what, step)| {
            let place = self.clone();
            (what, within(LIMIT, move || step(&place)))
        })
    }

    fn list(&self) -> Result<(), i32> {
        let mut names = Vec::new();
        for entry in errno(fs::read_dir(&self.path))? {
            let name = errno(entry)?.file_name();
            names.push(name.into_string().expect("a plain name"));
        }
        names.sort();
        assert_eq!(names, NAMES);
        Ok(())
    }

    fn stat(&self) -> Result<(), i32> {
        let found = errno(fs::metadata(self.path.join("large")))?;
        assert_eq!(found.len(), mib(256));
        Ok(())
    }

    fn read_small(&self) -> Result<(), i32> {
        let bytes = read_all(&self.path.join("small"))?;
        assert!(bytes == true_bytes(&self.tree, &self.small));
        Ok(())
    }

    fn read_medium(&self) -> Result<(), i32> {
        let bytes = read_all(&self.path.join("medium"))?;
        assert!(bytes == true_bytes(&self.tree, &self.medium));
        Ok(())
    }

    /// Some reads past the kernel's pages: each is one request of the kernel.
    fn jump(&self) -> Result<(), i32> {
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_DIRECT);
        let file: File = errno(options.open(self.path.join("large")))?;
        for offset in JUMPS.map(mib) {
            let mut bytes = [0; JUMP_LENGTH];
            errno(file.read_exact_at(&mut bytes, offset))?;
            let expected = self.tree.read(&self.large, offset, JUMP_LENGTH);
            assert!(bytes[..] == expected.expect("its bytes are known"));
        }
        Ok(())
    }

    fn ask_attribute(&self) -> Result<(), i32> {
        let id = errno(xattr::get(self.path.join("medium"), "user.linkfs.id"))?;
        assert_eq!(id.as_deref(), Some(self.medium_id.as_bytes()));
        Ok(())
    }
}

/// Each fault on a mount of its own, all at the same time: they wait most of it.
fn any_request_may_fail_once(kind: DriveKind) {
    thread::scope(|scope| {
        for fault in faults(kind) {
            scope.spawn(move || {
                let scene = Scene::new(kind);
                let mut places = scene.places.iter();
                for (call, least) in calls(scene.emulator.calls(), &fault) {
                    strike_each(call, least, |request| {
                        let place = places.next().expect("a folder for each request");
                        scene.fail_once(&fault, request, place)
                    });
                }
            });
        }
    });
}

/// What waits at the drive waits until the deadline: each call has a mount of its own too.
#[test]
fn all_requests_from_any_on_may_fail() {
    let kind = DriveKind::KooDrive;
    let names = kind.start(Tree::new()).calls();
    let lasting = faults(kind)
        .into_iter()
        .filter(|fault| fault.lasting.is_some());
    thread::scope(|scope| {
        for fault in lasting.map(Arc::new) {
            for (call, least) in calls(names, &fault) {
                let fault = fault.clone();
                scope.spawn(move || {
                    let scene = Scene::new(kind);
                    let mut places = scene.places.iter();
                    strike_each(call, least, |request| {
                        let place = places.next().expect("a folder for each request");
                        scene.fail_for_good(&fault, request, place)
                    });
                });
            }
        }
    });
}

/// Strikes the first request of a call, the second and so on, in works that are the same, until one has no such
/// request: there nothing fails, and nothing may be seen.
#[track_caller]
fn strike_each(call: &str, least: u64, mut strike: impl FnMut((&str, u64)) -> bool) {
    let requests = (1..).take_while(|n| strike((call, *n))).count() as u64;
    assert!(requests >= least, "{requests} requests of {call}");
}

/// The calls that the work makes and a fault may strike, and how many of each at least.
fn calls(names: CallNames, fault: &Fault) -> Vec<(&'static str, u64)> {
    let signings = if names.sign_max == 1 { 3 } else { 1 };
    let ranges = 1 + 1 + JUMPS.len() as u64;
    let mut calls = vec![("data", ranges)];
    if !fault.is_of_ranges {
        calls.extend([(names.list, 2), (names.sign, signings)]);
    }
    calls
}
