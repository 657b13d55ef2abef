//! Whatever the drive does wrong, a read ends in the right bytes or in the right error, in time, and the
//! mount goes on.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use linkfs_emulator::{Action, EmulatedDrive, LinkPolicy, ROOT_ID, RetryAfter, Rule, Tree};
use linkfs_tests::{
    DriveKind, DriveSetup, MountBuilder, Mounted, assert_at_rest, errno, eventually, mib,
    on_every_drive, shell, true_bytes, within,
};
use serde_json::{Value, json};

// A listing of DingTalk's does not age within a test: the drive wishes for five minutes.
on_every_drive! {
    fn what_goes_wrong_once_does_not_show,
    fn every_body_cut_short_is_gone_on_with,
    fn what_stays_wrong_ends_in_the_error_of_the_table,
    fn wrong_bytes_are_never_delivered,
    fn what_never_answers_ends_at_the_deadline,
    fn a_pause_longer_than_the_deadline_is_not_waited_for,
    fn a_long_pause_is_kept_by_everybody,
    fn a_silence_after_an_error_does_not_hide_it,
    fn one_failed_request_is_one_failed_call,
    fn a_failure_is_told_in_words,
    fn a_drive_that_is_gone_is_told_from_one_that_is_slow,
    fn odd_pages_show_every_name_once,
    fn a_page_that_is_odd_once_does_not_show,
    fn a_part_of_a_folder_is_never_shown_as_all_of_it,
    fn a_file_replaced_while_it_is_read_is_stale_and_never_a_mixture,
    fn a_file_replaced_between_open_and_read_is_not_a_mixture,
    fn an_object_replaced_in_the_middle_of_a_body_is_stale,
    fn an_answer_of_another_version_makes_the_file_stale,
    fn a_file_deleted_before_it_is_read_is_stale_and_then_no_more_there,
    fn a_file_deleted_while_it_is_read_ends_in_right_bytes_or_stale,
    fn the_rest_of_the_mount_goes_on_while_a_drive_hangs,
    fn a_killed_reader_is_gone_before_the_deadline,
    fn readers_of_a_dead_server_are_all_gone_at_the_deadline,
    fn what_is_in_memory_is_read_while_many_wait_for_a_dead_server,
    except dingtalk:
    fn an_old_listing_serves_while_the_drive_cannot_give_a_new_one,
}

/// The deadline of the mounts here. The pauses between tries end a good second before it, so that no try
/// is under way when it comes.
const DEADLINE: &str = "5s";
/// No call may take longer: the deadline once, not twice, and some time for a busy machine.
const LIMIT: Duration = Duration::from_secs(9);
/// Several requests long, and no multiple of anything.
const SIZE: u64 = mib(3) + 12_345;

/// A mounted drive of folders with one file each: every row of a table has one of its own.
struct Scene {
    emulator: Box<dyn EmulatedDrive>,
    tree: Tree,
    mount: Mounted,
    places: Vec<Place>,
}

struct Place {
    folder: String,
    file: String,
    path: PathBuf,
}

impl Scene {
    fn new(kind: DriveKind, count: usize) -> Scene {
        Scene::with(count, kind, |setup| setup, |builder| builder)
    }

    fn with(
        count: usize,
        kind: DriveKind,
        set_up: impl FnOnce(DriveSetup) -> DriveSetup,
        adapt: impl FnOnce(MountBuilder) -> MountBuilder,
    ) -> Scene {
        let tree = Tree::new();
        let ids: Vec<_> = (0..count)
            .map(|number| {
                let folder = tree.add_folder(ROOT_ID, &format!("folder {number}"));
                let seed = 100 + number as u64;
                let file = tree.add_generated(&folder, "file.bin", seed, SIZE);
                (folder, file)
            })
            .collect();
        let emulator = set_up(kind.setup(tree.clone())).start();
        let mount = adapt(Mounted::builder(&*emulator).deadline(DEADLINE)).mount();
        let places = ids
            .into_iter()
            .enumerate()
            .map(|(number, (folder, file))| Place {
                folder,
                file,
                path: mount.path(&format!("folder {number}/file.bin")),
            });
        Scene {
            places: places.collect(),
            emulator,
            tree,
            mount,
        }
    }

    /// Makes a rule strike the calls about one place only.
    fn add(&self, rule: &Rule, place: &Place) {
        let id = match rule.call.as_str() {
            "list" => &place.folder,
            _ => &place.file,
        };
        self.emulator.faults().add(rule.clone().file(id));
    }

    fn true_bytes(&self, place: &Place) -> Vec<u8> {
        true_bytes(&self.tree, &place.file)
    }

    fn count(&self, call: &str) -> u64 {
        match call {
            "data" => self.emulator.counters().snapshot().data_requests,
            call => self.emulator.counters().calls(call),
        }
    }

    fn assert_at_rest(&self) {
        assert_at_rest(&*self.emulator, &self.mount);
    }
}

/// Reads a file by its name, each call in time.
#[track_caller]
fn read_in_time(place: &Place) -> Result<Vec<u8>, i32> {
    let path = place.path.clone();
    let mut file = within(LIMIT, move || errno(File::open(path)))?;
    let mut bytes = Vec::new();
    match read_on(&mut file, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(number) => Err(number),
    }
}

/// Reads an open file from where it stands, each call in time; what came before an error is in `bytes`.
#[track_caller]
fn read_on(file: &mut File, bytes: &mut Vec<u8>) -> Result<(), i32> {
    loop {
        let mut file = file.try_clone().expect("one more descriptor");
        let (piece, end) = within(LIMIT, move || {
            let mut piece = vec![0; 256 * 1024];
            let read = errno(file.read(&mut piece));
            (piece, read)
        });
        match end? {
            0 => return Ok(()),
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

/// Reads some bytes past the kernel's pages: exactly one request.
#[track_caller]
fn read_directly(place: &Place, offset: u64) -> Result<(), i32> {
    let path = place.path.clone();
    within(LIMIT, move || {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_DIRECT).open(path);
        errno(file.and_then(|file| file.read_exact_at(&mut [0; 4096], offset)))
    })
}

/// What reading a file comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    AllBytes,
    Fails(i32),
}

use Outcome::{AllBytes, Fails};

/// Rows that are checked at the same time, each share on a mount of its own: they wait most of the time.
const SHARES: usize = 6;

/// Reads a fresh file under each rule.
fn check(kind: DriveKind, rows: &[(Rule, Outcome)]) {
    thread::scope(|scope| {
        for rows in rows.chunks(rows.len().div_ceil(SHARES)) {
            scope.spawn(move || {
                let scene = Scene::new(kind, rows.len());
                for ((rule, expected), place) in rows.iter().zip(&scene.places) {
                    check_row(&scene, place, rule, *expected);
                }
            });
        }
    });
}

#[track_caller]
fn check_row(scene: &Scene, place: &Place, rule: &Rule, expected: Outcome) {
    scene.add(rule, place);
    let result = read_in_time(place);
    let hits: u64 = scene.emulator.faults().hits().iter().map(|hit| hit.1).sum();
    assert!(hits > 0, "never struck: {rule:?}");
    let true_bytes = scene.true_bytes(place);
    match (expected, result) {
        (AllBytes, result) => assert!(result == Ok(true_bytes), "{rule:?}: {}", shown(&result)),
        (Fails(number), result) => {
            assert!(
                result == Err(number),
                "{rule:?}: {}, not {number}",
                shown(&result)
            );
        }
    }
    scene.emulator.faults().clear();
    scene.assert_at_rest();
}

/// Without three million bytes.
fn shown(result: &Result<Vec<u8>, i32>) -> String {
    match result {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(number) => std::io::Error::from_raw_os_error(*number).to_string(),
    }
}

fn status(code: u16) -> Action {
    Action::Status {
        code,
        retry_after: None,
        body: None,
    }
}

fn throttled(retry_after: RetryAfter) -> Action {
    Action::Status {
        code: 429,
        retry_after: Some(retry_after),
        body: None,
    }
}

/// `actions` on each of `calls`.
fn on_each<'a>(calls: &'a [&'a str], actions: &'a [Action]) -> impl Iterator<Item = Rule> + 'a {
    let rules = calls
        .iter()
        .map(|call| actions.iter().map(|action| Rule::on(call, action.clone())));
    rules.flatten()
}

fn what_goes_wrong_once_does_not_show(kind: DriveKind) {
    let anywhere = [
        throttled(RetryAfter::Seconds(1)),
        throttled(RetryAfter::DateIn(1)),
        status(429),
        status(500),
        status(503),
        Action::CloseConnection,
        Action::Garbage { body: None },
    ];
    let api = [Action::CutBody { at: 20 }, Action::ResetBody { at: 20 }];
    let data = [
        Action::CutBody { at: 0 },
        Action::CutBody { at: 100_003 },
        Action::ResetBody { at: 100_003 },
        Action::ShortBody { at: 100_003 },
        Action::ShortBody { at: 0 },
        Action::WrongContentRange { shift: 4096 },
        Action::WrongContentRange { shift: -1 },
        Action::IgnoreRange,
        Action::StallBody { at: 70_001 },
        Action::NeverAnswer,
    ];
    let rules = on_each(&["list", "download", "data"], &anywhere)
        .chain(on_each(&["list", "download"], &api))
        .chain(on_each(&["data"], &data))
        .map(|rule| (rule.nth(1), AllBytes));
    check(kind, &rules.collect::<Vec<_>>());
}

fn every_body_cut_short_is_gone_on_with(kind: DriveKind) {
    check(
        kind,
        &[
            (Rule::on("data", Action::CutBody { at: 300_007 }), AllBytes),
            (
                Rule::on("data", Action::ResetBody { at: 300_007 }),
                AllBytes,
            ),
        ],
    );
}

fn what_stays_wrong_ends_in_the_error_of_the_table(kind: DriveKind) {
    let api = ["list", "download"];
    let everywhere = ["list", "download", "data"];
    let rows = |calls, actions: &[Action], number| {
        let rules = on_each(calls, actions).map(|rule| (rule, Fails(number)));
        rules.collect::<Vec<_>>()
    };
    let mut all = rows(&everywhere, &[status(429)], libc::EBUSY);
    all.extend(rows(
        &everywhere,
        &[status(500), status(503), Action::CloseConnection],
        libc::EHOSTDOWN,
    ));
    all.extend(rows(
        &everywhere,
        &[Action::Garbage { body: None }],
        libc::EIO,
    ));
    let drive_error = |code, message: &str| Action::DriveError {
        code,
        message: message.into(),
    };
    let no_permission = match kind {
        DriveKind::KooDrive => drive_error(13_000_410, "no permission on the space"),
        DriveKind::Pds => drive_error(403, "ForbiddenNoPermission.File"),
        DriveKind::DingTalk => linkfs_emulator::dingtalk::refusal("permissionDenied"),
    };
    all.extend(rows(&api, &[status(401), no_permission], libc::EACCES));
    all.extend(rows(&["data"], &[status(401), status(403)], libc::EACCES));
    check(kind, &all);
}

fn wrong_bytes_are_never_delivered(kind: DriveKind) {
    let wrong = [
        Action::ShortBody { at: 100_003 },
        Action::WrongContentRange { shift: 4096 },
        Action::WrongContentRange { shift: -1 },
        Action::IgnoreRange,
    ];
    let from_the_start = on_each(&["data"], &wrong).map(|rule| (rule, Fails(libc::EIO)));
    let in_the_middle = on_each(&["data"], &wrong).map(|rule| (rule.from(2), Fails(libc::EIO)));
    check(
        kind,
        &from_the_start.chain(in_the_middle).collect::<Vec<_>>(),
    );
}

fn what_never_answers_ends_at_the_deadline(kind: DriveKind) {
    let rows = on_each(&["list", "download", "data"], &[Action::NeverAnswer])
        .chain([
            Rule::on("data", Action::StallBody { at: 0 }),
            Rule::on("data", Action::StallBody { at: 0 }).from(2),
            Rule::on("data", Action::StallBody { at: 3001 }),
            Rule::on(
                "data",
                Action::DripBody {
                    bytes: 1000,
                    pause_ms: 300,
                },
            ),
        ])
        .map(|rule| (rule, Fails(libc::ETIMEDOUT)));
    check(kind, &rows.collect::<Vec<_>>());
}

fn a_pause_longer_than_the_deadline_is_not_waited_for(kind: DriveKind) {
    for pause in [RetryAfter::Seconds(60), RetryAfter::DateIn(60)] {
        for (code, number) in LIMITS {
            for call in ["list", "download", "data"] {
                // The drive is left alone after it, so each has a mount of its own.
                let scene = Scene::new(kind, 1);
                let place = &scene.places[0];
                let action = asks_for(code, &pause);
                scene.add(&Rule::on(call, action.clone()), place);
                let before = scene.count(call);
                assert_eq!(read_directly(place, 0), Err(number), "{call}");
                assert_eq!(scene.count(call), before + 1, "{call}: {action:?}");
                scene.emulator.faults().clear();
                if call == "data" {
                    assert_eq!(read_directly(place, 0), Ok(()));
                }
                scene.assert_at_rest();
            }
        }
    }
}

/// How a drive asks for a pause, and what programs are told meanwhile.
const LIMITS: [(u16, i32); 2] = [(429, libc::EBUSY), (503, libc::EHOSTDOWN)];

fn asks_for(code: u16, pause: &RetryAfter) -> Action {
    Action::Status {
        code,
        retry_after: Some(pause.clone()),
        body: None,
    }
}

fn a_long_pause_is_kept_by_everybody(kind: DriveKind) {
    for (code, number) in LIMITS {
        let scene = Scene::new(kind, 4);
        let [told, open, listed, unknown] = &scene.places[..] else {
            unreachable!()
        };
        read_in_time(open).expect("it reads");
        fs::metadata(&listed.path).expect("it is listed");
        let action = asks_for(code, &RetryAfter::Seconds(60));
        scene.add(&Rule::on("list", action), told);
        assert_eq!(read_in_time(told), Err(number));
        scene.emulator.faults().clear();
        let calls = || scene.count("list") + scene.count("download");
        let before = calls();
        // What is in memory is there; for the rest nobody asks, and nobody waits until the deadline.
        assert!(read_in_time(open) == Ok(scene.true_bytes(open)));
        for place in [listed, unknown, listed, unknown] {
            let path = place.path.clone();
            let read = within(Duration::from_secs(3), move || errno(fs::read(path)));
            assert_eq!(read, Err(number), "{code}");
        }
        assert_eq!(calls(), before, "{code}: the drive was asked in the pause");
        let drive = &scene.mount.status()["drives"][0];
        assert_eq!(drive["state"], "limited", "{drive}");
        let left = drive["limited_for_seconds"].as_u64().expect("a number");
        assert!((30..=75).contains(&left), "{drive}");
        scene.assert_at_rest();
    }
}

fn a_silence_after_an_error_does_not_hide_it(kind: DriveKind) {
    let scene = Scene::new(kind, 3);
    for (call, place) in ["list", "download", "data"].iter().zip(&scene.places) {
        scene.add(&Rule::on(call, status(503)).nth(1), place);
        scene.add(&Rule::on(call, Action::NeverAnswer).from(2), place);
        // One request, so that the same job hears both.
        assert_eq!(read_directly(place, 0), Err(libc::EHOSTDOWN), "{call}");
        let hits = scene.emulator.faults().hits();
        assert!(hits.iter().all(|hit| hit.1 > 0), "{call}: {hits:?}");
        scene.emulator.faults().clear();
        scene.assert_at_rest();
    }
}

fn one_failed_request_is_one_failed_call(kind: DriveKind) {
    let scene = Scene::new(kind, 1);
    let [place] = &scene.places[..] else {
        unreachable!()
    };
    scene.add(&Rule::on("data", Action::IgnoreRange), place);
    assert_eq!(read_in_time(place), Err(libc::EIO));
    assert_eq!(scene.count("data"), 2, "a wrong answer is checked once");
}

fn a_failure_is_told_in_words(kind: DriveKind) {
    let scene = Scene::new(kind, 2);
    let [slow, throttled] = &scene.places[..] else {
        unreachable!()
    };
    scene.add(&Rule::on("data", Action::NeverAnswer), slow);
    scene.add(&Rule::on("download", status(429)), throttled);
    for (place, number, words) in [
        (slow, libc::ETIMEDOUT, "no answer within"),
        (throttled, libc::EBUSY, "the drive asks for a pause"),
    ] {
        assert_eq!(read_in_time(place), Err(number));
        assert_told(place, words);
    }
}

#[track_caller]
fn assert_told(place: &Place, words: &str) {
    let told = xattr::get(&place.path, "user.linkfs.error").expect("it is told");
    let told = String::from_utf8(told.expect("it is there")).expect("it is text");
    assert!(told.contains(words), "{told}");
}

fn a_drive_that_is_gone_is_told_from_one_that_is_slow(kind: DriveKind) {
    let scene = Scene::new(kind, 2);
    let [known, unknown] = &scene.places[..] else {
        unreachable!()
    };
    shell(scene.mount.folder(), "ls 'folder 0'", Path::new("")).success();
    drop(scene.emulator);
    assert_eq!(read_in_time(known), Err(libc::EHOSTDOWN));
    assert_eq!(read_in_time(unknown), Err(libc::EHOSTDOWN));
    let top = shell(scene.mount.folder(), "ls", Path::new("")).success();
    assert_eq!(top, "folder 0\nfolder 1\n");
}

/// A drive with a folder `many` of that many files, mounted.
fn many_files(
    kind: DriveKind,
    count: u64,
    knobs: &[(&str, Value)],
) -> (Box<dyn EmulatedDrive>, Mounted, String) {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "many");
    for number in 0..count {
        tree.add_generated(&folder, &format!("file {number:03}"), number, 1000);
    }
    let mut setup = kind.setup(tree);
    for (name, value) in knobs {
        setup = setup.knob(name, value.clone());
    }
    let emulator = setup.start();
    let mount = Mounted::builder(&*emulator).deadline(DEADLINE).mount();
    (emulator, mount, folder)
}

fn all_names(count: u64) -> String {
    (0..count)
        .map(|number| format!("file {number:03}\n"))
        .collect()
}

fn odd_pages_show_every_name_once(kind: DriveKind) {
    let trailing = match kind {
        DriveKind::KooDrive => "has_trailing_cursor",
        DriveKind::Pds => "has_trailing_marker",
        DriveKind::DingTalk => "has_trailing_token",
    };
    let mut oddities = vec![
        ("page_items_max", json!(17)),
        ("has_empty_pages", json!(true)),
        (trailing, json!(true)),
    ];
    if kind == DriveKind::DingTalk {
        oddities.push(("single_use_tokens", json!(true)));
    } else {
        oddities.push(("page_short_by", json!(7)));
        oddities.push(("repeats_items", json!(true)));
    }
    // Each by itself, and all together.
    for knobs in oddities.chunks(1).chain([&oddities[..]]) {
        let (emulator, mount, _) = many_files(kind, 250, knobs);
        let names = shell(mount.folder(), "ls many", Path::new("")).success();
        assert_eq!(names, all_names(250), "{knobs:?}");
        assert_at_rest(&*emulator, &mount);
    }
}

fn a_page_that_is_odd_once_does_not_show(kind: DriveKind) {
    for action in [
        Action::RepeatCursor,
        Action::EmptyPageWithCursor,
        Action::Garbage { body: None },
        Action::CutBody { at: 1000 },
        Action::Status {
            code: 503,
            retry_after: None,
            body: None,
        },
    ] {
        let (emulator, mount, folder) = many_files(kind, 250, &[]);
        let rule = Rule::on("list", action.clone()).file(&folder).nth(2);
        emulator.faults().add(rule);
        let names = shell(mount.folder(), "ls many", Path::new("")).success();
        assert_eq!(names, all_names(250), "{action:?}");
        assert_eq!(emulator.faults().hits()[0].1, 1, "{action:?}");
        assert_at_rest(&*emulator, &mount);
    }
}

fn a_part_of_a_folder_is_never_shown_as_all_of_it(kind: DriveKind) {
    let rows = [
        (Action::RepeatCursor, "Input/output error"),
        (Action::EmptyPageWithCursor, "Input/output error"),
        (Action::Garbage { body: None }, "Input/output error"),
        (status(503), "Host is down"),
        (status(429), "Device or resource busy"),
        (Action::NeverAnswer, "Connection timed out"),
    ];
    thread::scope(|scope| {
        for (action, words) in rows {
            scope.spawn(move || check_second_page(kind, &action, words));
        }
    });
}

/// Whoever looks into the folder while only its first page can be had is told `words`.
fn check_second_page(kind: DriveKind, action: &Action, words: &str) {
    let (emulator, mount, folder) = many_files(kind, 250, &[]);
    let rule = Rule::on("list", action.clone()).file(&folder).from(2);
    emulator.faults().add(rule);
    for line in ["ls many", "stat 'many/file 240'", "stat 'many/no such'"] {
        let inside = mount.folder().to_owned();
        let said = within(2 * LIMIT, move || shell(&inside, line, Path::new("")));
        let said = said.failure();
        assert!(said.contains(words), "{action:?}: {line}: {said}");
    }
    emulator.faults().clear();
    eventually("the folder is whole", || {
        let names = shell(mount.folder(), "ls many || true", Path::new("")).success();
        names == all_names(250)
    });
    assert_at_rest(&*emulator, &mount);
}

/// How a file of the drive changes while it is mounted.
type Change = fn(&Tree, &str);

const CHANGES: [(&str, Change); 3] = [
    ("as long as before", |tree, id| {
        tree.replace_generated(id, SIZE);
    }),
    ("shorter", |tree, id| {
        tree.replace_generated(id, SIZE - 1);
    }),
    ("longer", |tree, id| {
        tree.replace_generated(id, 2 * SIZE);
    }),
];

/// Both ways in which object stores keep a replaced object.
fn link_policies(kind: DriveKind) -> [LinkPolicy; 2] {
    [false, true].map(|key_per_revision| LinkPolicy {
        key_per_revision,
        ..kind.links()
    })
}

/// DingTalk would go on serving the version that a link was made for; here it forgets it, as the others do.
fn scene_that_forgets(kind: DriveKind, count: usize, links: LinkPolicy) -> Scene {
    let forget = |setup: DriveSetup| match kind {
        DriveKind::DingTalk => setup.knob("keeps_versions", false),
        DriveKind::KooDrive | DriveKind::Pds => setup,
    };
    Scene::with(
        count,
        kind,
        |setup| forget(setup.links(links)),
        |builder| builder,
    )
}

fn a_file_replaced_while_it_is_read_is_stale_and_never_a_mixture(kind: DriveKind) {
    for links in link_policies(kind) {
        let scene = scene_that_forgets(kind, CHANGES.len(), links.clone());
        for ((what, change), place) in CHANGES.iter().zip(&scene.places) {
            let old = scene.true_bytes(place);
            let mut file = File::open(&place.path).expect("it opens");
            let mut first = vec![0; 4096];
            file.read_exact(&mut first).expect("it is as it was");
            change(&scene.tree, &place.file);
            // What came along with the first bytes is of the old content, and so is all before the error.
            let end = read_on(&mut file, &mut first);
            assert_eq!(end, Err(libc::ESTALE), "{what}: {links:?}");
            assert!(first == old[..first.len()], "{what}: {links:?}");
            let again = file.read_exact_at(&mut [0; 1], SIZE - 1);
            assert_eq!(errno(again), Err(libc::ESTALE), "it stays stale");
            let new = read_in_time(place);
            assert!(
                new == Ok(scene.true_bytes(place)),
                "{what}: {}",
                shown(&new)
            );
            assert!(new != Ok(old));
            drop(file);
            scene.assert_at_rest();
        }
    }
}

fn a_file_replaced_between_open_and_read_is_not_a_mixture(kind: DriveKind) {
    for links in link_policies(kind) {
        let scene = scene_that_forgets(kind, CHANGES.len(), links.clone());
        for ((what, change), place) in CHANGES.iter().zip(&scene.places) {
            let mut file = File::open(&place.path).expect("it opens");
            change(&scene.tree, &place.file);
            let mut seen = Vec::new();
            let end = read_on(&mut file, &mut seen);
            let new = scene.true_bytes(place);
            if new.len() as u64 == SIZE {
                // Nothing had been read that could tell the two apart.
                assert!(end == Ok(()) && seen == new, "{what}: {links:?}: {end:?}");
            } else {
                assert_eq!((end, seen.len()), (Err(libc::ESTALE), 0), "{what}");
            }
            let anew = read_in_time(place);
            assert!(anew == Ok(new), "{what}: {links:?}: {}", shown(&anew));
            drop(file);
            scene.assert_at_rest();
        }
    }
}

fn an_object_replaced_in_the_middle_of_a_body_is_stale(kind: DriveKind) {
    for size in [None, Some(SIZE - 1), Some(2 * SIZE)] {
        let scene = scene_that_forgets(kind, 1, kind.links());
        let place = &scene.places[0];
        let old = scene.true_bytes(place);
        // Slow enough for the reader's second request to come after the replacement.
        scene
            .emulator
            .pacing()
            .update(|pacing| pacing.rate_per_stream = 4 << 20);
        let replace = Action::ReplaceObject { at: 100_003, size };
        scene.add(&Rule::on("data", replace).nth(1), place);
        let mut file = File::open(&place.path).expect("it opens");
        let mut seen = Vec::new();
        assert_eq!(read_on(&mut file, &mut seen), Err(libc::ESTALE), "{size:?}");
        assert!(seen == old[..seen.len()], "{size:?}");
        let new = read_in_time(place);
        assert!(new == Ok(scene.true_bytes(place)), "{}", shown(&new));
        drop(file);
        scene.assert_at_rest();
    }
}

fn an_answer_of_another_version_makes_the_file_stale(kind: DriveKind) {
    let other = |by| Action::WrongTotal { by };
    let etag = "\"another\"".to_owned();
    let rules = [
        Rule::on("data", other(1)).nth(1),
        Rule::on("data", other(-1)).nth(1),
        Rule::on("data", other(1)).nth(2),
        Rule::on("data", Action::WrongEtag { etag: etag.clone() }).nth(2),
        Rule::on("data", Action::WrongEtag { etag }).nth(1),
        Rule::on("data", status(412)).nth(1),
        Rule::on("data", status(416)).nth(2),
    ];
    let scene = Scene::new(kind, rules.len());
    for (rule, place) in rules.iter().zip(&scene.places) {
        let number = || fs::metadata(&place.path).expect("it is listed").ino();
        let before = number();
        check_row(&scene, place, rule, Fails(libc::ESTALE));
        eventually("its name leads to another node", || number() != before);
        assert_told(place, "the file changed on the drive");
        let again = read_in_time(place);
        assert!(
            again == Ok(scene.true_bytes(place)),
            "{rule:?}: {}",
            shown(&again)
        );
    }
}

fn a_file_deleted_before_it_is_read_is_stale_and_then_no_more_there(kind: DriveKind) {
    let deletions: [Change; 2] = [
        |tree, id| {
            tree.remove(id);
        },
        |tree, id| {
            tree.purge(id);
        },
    ];
    let scene = Scene::new(kind, deletions.len());
    for (delete, place) in deletions.iter().zip(&scene.places) {
        fs::metadata(&place.path).expect("it is listed");
        delete(&scene.tree, &place.file);
        assert_eq!(read_in_time(place), Err(libc::ESTALE));
        assert_eq!(read_in_time(place), Err(libc::ENOENT));
        scene.assert_at_rest();
    }
}

fn a_file_deleted_while_it_is_read_ends_in_right_bytes_or_stale(kind: DriveKind) {
    let scene = Scene::new(kind, 2);
    let [recycled, purged] = &scene.places[..] else {
        unreachable!()
    };
    for (place, is_recycled) in [(recycled, true), (purged, false)] {
        let true_bytes = scene.true_bytes(place);
        let mut file = File::open(&place.path).expect("it opens");
        let mut seen = vec![0; 4096];
        file.read_exact(&mut seen).expect("it is there");
        if is_recycled {
            scene.tree.remove(&place.file);
        } else {
            scene.tree.purge(&place.file);
        }
        let end = read_on(&mut file, &mut seen);
        // An object in the recycle bin lives on for those who have a link, as an unlinked file does.
        let expected = if is_recycled {
            Ok(())
        } else {
            Err(libc::ESTALE)
        };
        assert_eq!(end, expected);
        assert!(seen == true_bytes[..seen.len()]);
        drop(file);
        scene.assert_at_rest();
    }
}

fn the_rest_of_the_mount_goes_on_while_a_drive_hangs(kind: DriveKind) {
    let scene = Scene::new(kind, 3);
    let [blocked, healthy, unlisted] = &scene.places[..] else {
        unreachable!()
    };
    let folder = scene.mount.folder().to_owned();
    shell(&folder, "ls 'folder 0' 'folder 1'; df .", Path::new("")).success();
    read_in_time(healthy).expect("it reads");
    scene
        .emulator
        .faults()
        .add(Rule::on("any", Action::NeverAnswer));
    let before = scene.count("data") + scene.count("list");
    let mut readers: Vec<_> = [blocked, unlisted]
        .map(|place| {
            let mut cat = Command::new("cat");
            cat.arg(&place.path)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            cat.spawn().expect("cat starts")
        })
        .into();
    eventually("both readers wait", || {
        scene.count("download") + scene.count("data") + scene.count("list") >= before + 2
    });
    // Less than the deadline: none of these waits for the drive.
    for line in [
        "df .",
        "ls -l . 'folder 0' 'folder 1'",
        "stat 'folder 0/file.bin' && ! stat 'folder 0/missing'",
        "cat 'folder 1/file.bin' > /dev/null",
        "cat .linkfs/status",
        "getfattr -n user.linkfs.id 'folder 0/file.bin'",
    ] {
        let folder = folder.clone();
        within(Duration::from_secs(3), move || {
            shell(&folder, line, Path::new("")).success()
        });
    }
    for reader in &mut readers {
        reader.kill().expect("it is a child");
    }
    within(LIMIT, move || {
        for mut reader in readers {
            let end = reader.wait().expect("it ends");
            assert!(!end.success(), "{end}");
        }
    });
    scene.emulator.faults().clear();
    let bytes = read_in_time(blocked);
    assert!(bytes == Ok(scene.true_bytes(blocked)), "{}", shown(&bytes));
    eventually("the other folder is listed too", || {
        read_in_time(unlisted) == Ok(scene.true_bytes(unlisted))
    });
    scene.assert_at_rest();
}

fn a_killed_reader_is_gone_before_the_deadline(kind: DriveKind) {
    let scene = Scene::with(1, kind, |setup| setup, |builder| builder.deadline("60s"));
    let place = &scene.places[0];
    scene.add(&Rule::on("data", Action::NeverAnswer), place);
    let mut cat = Command::new("cat");
    cat.arg(&place.path).stdout(Stdio::null());
    let mut cat = cat.spawn().expect("cat starts");
    eventually("it waits", || scene.emulator.faults().hits()[0].1 > 0);
    cat.kill().expect("it is a child");
    let end = within(Duration::from_secs(20), move || cat.wait());
    let end = end.expect("it ends");
    assert_eq!(end.signal(), Some(libc::SIGKILL));
    scene.emulator.faults().clear();
    let bytes = read_in_time(place);
    assert!(bytes == Ok(scene.true_bytes(place)), "{}", shown(&bytes));
    scene.assert_at_rest();
}

/// Programs that read a file from different places, with and without the kernel's pages, all at once. A request of
/// the kernel that is waited for without them ends by the deadline alone, whoever is killed.
fn readers_of(place: &Place) -> Vec<Child> {
    let start = |script| {
        let mut command = Command::new("bash");
        let command = command.args(["-c", script, "bash"]).arg(&place.path);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("bash starts")
    };
    let scripts = [
        r#"exec head -c 1000 "$1""#,
        r#"exec cat "$1""#,
        r#"exec dd if="$1" bs=64k iflag=direct status=none"#,
        r#"exec tail -c 100000 "$1""#,
    ];
    scripts.repeat(3).into_iter().map(start).collect()
}

/// The states of a process' threads, as letters: `S` sleeps, `D` cannot be woken, `Z` has ended.
fn thread_states(pid: u32) -> String {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let stats = threads.filter_map(|thread| {
        let stat = thread.ok()?.path().join("stat");
        fs::read_to_string(stat).ok()
    });
    stats
        .filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next())
        .collect()
}

fn readers_of_a_dead_server_are_all_gone_at_the_deadline(kind: DriveKind) {
    let scene = Scene::new(kind, 2);
    let [dead, other] = &scene.places[..] else {
        unreachable!()
    };
    let known = "ls 'folder 0' 'folder 1'; df .";
    shell(scene.mount.folder(), known, Path::new("")).success();
    scene.add(&Rule::on("data", Action::NeverAnswer), dead);
    let patient = readers_of(dead);
    let mut killed = readers_of(dead);
    eventually("they wait", || {
        let readers = (patient.len() + killed.len()) as u64;
        scene.mount.status()["open_handles"].as_u64() >= Some(readers)
            && scene.emulator.faults().hits()[0].1 > 0
    });
    for reader in &mut killed {
        reader.kill().expect("it is a child");
    }
    // Less than the deadline: nobody else waits for the dead server, nor for those who do.
    for line in [
        "df .",
        "ls -l . 'folder 0'",
        "cat 'folder 1/file.bin' > /dev/null",
        "stat 'folder 0/file.bin'",
    ] {
        let folder = scene.mount.folder().to_owned();
        within(Duration::from_secs(3), move || {
            shell(&folder, line, Path::new("")).success()
        });
    }
    let readers: Vec<u32> = killed.iter().chain(&patient).map(Child::id).collect();
    within(LIMIT, move || {
        for reader in readers {
            eventually("no thread is left", || thread_states(reader) == "Z");
        }
    });
    let states = thread_states(scene.mount.pid());
    assert!(!states.contains('D'), "the program is stuck: {states}");
    for mut reader in killed {
        let end = reader.wait().expect("it has ended");
        assert_eq!(end.signal(), Some(libc::SIGKILL));
    }
    for reader in patient {
        let end = reader.wait_with_output().expect("it has ended");
        let said = String::from_utf8_lossy(&end.stderr);
        assert!(said.contains("Connection timed out"), "{said}");
    }
    scene.emulator.faults().clear();
    for place in [dead, other] {
        let bytes = read_in_time(place);
        assert!(bytes == Ok(scene.true_bytes(place)), "{}", shown(&bytes));
    }
    scene.assert_at_rest();
}

fn what_is_in_memory_is_read_while_many_wait_for_a_dead_server(kind: DriveKind) {
    let scarce = |builder: MountBuilder| builder.deadline("60s").memory("16MiB");
    let scene = Scene::with(2, kind, |setup| setup, scarce);
    let [dead, here] = &scene.places[..] else {
        unreachable!()
    };
    assert!(read_in_time(here) == Ok(scene.true_bytes(here)));
    scene.add(&Rule::on("data", Action::NeverAnswer), dead);
    // Each waits for 1 MiB, and half the memory is for what is waited for.
    let readers = (0..16).map(|_| {
        let path = dead.path.clone();
        thread::spawn(move || {
            let mut options = fs::OpenOptions::new();
            let file = options.read(true).custom_flags(libc::O_DIRECT).open(path);
            errno(file.and_then(|file| file.read_exact_at(&mut vec![0; 1 << 20], 0)))
        })
    });
    let readers: Vec<_> = readers.collect();
    eventually("there is no room for another", || {
        scene.mount.status()["memory"]["reads_bytes"].as_u64() > Some(6 << 20)
    });
    assert_eq!(read_directly(here, 1 << 20), Ok(()));
    assert!(readers.iter().all(|reader| !reader.is_finished()));
    scene.emulator.faults().clear();
    for reader in readers {
        assert_eq!(reader.join().expect("no panic"), Ok(()));
    }
    scene.assert_at_rest();
}

fn an_old_listing_serves_while_the_drive_cannot_give_a_new_one(kind: DriveKind) {
    let line = "ls . 'folder 0' && stat -c %s 'folder 0/file.bin'";
    for action in [
        status(503),
        Action::NeverAnswer,
        Action::Garbage { body: None },
    ] {
        let scene = Scene::with(2, kind, |setup| setup, |builder| builder.listing_ttl("0s"));
        let before = shell(scene.mount.folder(), line, Path::new("")).success();
        let rule = Rule::on("list", action.clone());
        scene.emulator.faults().add(rule);
        let folder = scene.mount.folder().to_owned();
        let now = within(3 * LIMIT, move || shell(&folder, line, Path::new("")));
        assert_eq!(now.success(), before, "{action:?}");
        let asked = scene.emulator.faults().hits()[0].1;
        assert!(asked > 0, "nobody asked the drive");
        scene.emulator.faults().clear();
        let [known, unknown] = &scene.places[..] else {
            unreachable!()
        };
        assert!(read_in_time(known) == Ok(scene.true_bytes(known)));
        assert!(read_in_time(unknown) == Ok(scene.true_bytes(unknown)));
        scene.assert_at_rest();
    }
}
