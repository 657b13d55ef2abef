//! `linkfs share`, `shares` and `unshare`.

use std::fs;
use std::process::Command;

use linkfs_tests::{DriveKind, Outcome, linkfs_binary, on_every_drive, run};
use serde_json::Value;

use crate::scene::Scene;

on_every_drive! {
    fn commands_share_list_change_and_revoke,
    fn a_bad_term_ends_a_command_with_the_mounts_words,
    except dingtalk:
    fn a_code_from_stdin_is_given_to_the_drive_and_not_shown,
}

/// Options for which a drive shares.
fn options(kind: DriveKind) -> &'static [&'static str] {
    match kind {
        DriveKind::KooDrive | DriveKind::Pds => &["--expires", "3d"],
        DriveKind::DingTalk => &[
            "--audience",
            "members",
            "--users",
            "u-17",
            "--expires",
            "never",
            "--password",
            "none",
        ],
    }
}

fn new_options(kind: DriveKind) -> &'static [&'static str] {
    match kind {
        DriveKind::KooDrive | DriveKind::Pds => &["--expires", "20d"],
        DriveKind::DingTalk => &["--allow", "preview"],
    }
}

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn commands_share_list_change_and_revoke(kind: DriveKind) {
    let scene = Scene::new(kind);
    let (file, folder, top) = (scene.path("a.txt"), scene.path("folder"), scene.path(""));
    let share = [&["share", &file, &folder], options(kind)].concat();
    let said = scene.linkfs(&share).success();
    let shared = scene.drive.open_shares();
    assert_eq!((shared.len(), said.lines().count()), (2, 2), "{said}");
    // The address alone, in the order of the paths that were given.
    for (line, share) in said.lines().zip(&shared) {
        assert!(
            line.starts_with("http") && !line.contains(char::is_whitespace),
            "{line}"
        );
        assert!(line.contains(&share.address), "{line}: {share:?}");
    }

    let change = [&["share", "--json", &file], new_options(kind)].concat();
    let changed = json(&scene.linkfs(&change).success());
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["url"], said.lines().next().expect("an address"));
    assert_eq!(
        (&changed[0]["path"], &changed[0]["state"]),
        (&file.as_str().into(), &"open".into())
    );
    let after = scene.drive.open_shares();
    assert_eq!(after[0].address, shared[0].address);
    assert_ne!(after[0].terms, shared[0].terms);
    assert_eq!(after[1], shared[1]);

    let listed = scene.linkfs(&["shares", &top]).success();
    let mut cells: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    cells.sort_by_key(|cells| cells[3]);
    let facts: Vec<_> = cells.iter().map(|cells| (cells[3], cells[2])).collect();
    let urls: Vec<_> = said.lines().collect();
    assert_eq!(facts, [("a.txt", urls[0]), ("folder", urls[1])]);
    let listed = json(&scene.linkfs(&["shares", &top, "--json"]).success());
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|share| urls.contains(&share["url"].as_str().expect("text")))
    );
    // In the form that the attribute has.
    let info = xattr::get(&file, "user.linkfs.share.info").expect("it is read");
    let info: Value = serde_json::from_slice(&info.expect("it is shared")).expect("JSON");
    assert!(listed.contains(&info["share"]), "{listed:?} {info}");

    assert_eq!(scene.linkfs(&["unshare", &file]).success(), "");
    assert_eq!(scene.drive.open_shares(), after[1..]);
    assert_eq!(scene.linkfs(&["unshare", &file, &folder]).success(), "");
    assert_eq!(scene.drive.open_shares(), []);
    assert_eq!(scene.linkfs(&["shares", &top]).success(), "");
    assert_eq!(
        scene.linkfs(&["shares", &top, "--json"]).success().trim(),
        "[]"
    );
}

fn a_bad_term_ends_a_command_with_the_mounts_words(kind: DriveKind) {
    let scene = Scene::new(kind);
    let (file, other) = (scene.path("a.txt"), scene.path("c.txt"));
    let outcome = scene.linkfs(&["share", "--expires", "soon", &file, &other]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    for path in ["a.txt", "c.txt"] {
        let words = format!("linkfs: {}: {}\n", scene.path(path), scene.why(path));
        assert!(
            outcome.stderr.contains(&words),
            "{words}: {}",
            outcome.stderr
        );
    }
    assert!(outcome.stderr.contains("expires"), "{}", outcome.stderr);
    assert_eq!(scene.calls(), 0);
    assert_eq!(scene.drive.open_shares(), []);
}

/// `linkfs` with `typed` on its stdin.
fn linkfs_reading(scene: &Scene, typed: &str, arguments: &[&str]) -> Outcome {
    let input = scene.mount.home().path().join("typed");
    fs::write(&input, typed).expect("it is written");
    let mut command = Command::new("bash");
    scene.mount.home().furnish(&mut command);
    command.args(["-c", r#"input=$1; shift; exec "$@" <"$input""#, "bash"]);
    run(command.arg(&input).arg(linkfs_binary()).args(arguments))
}

fn a_code_from_stdin_is_given_to_the_drive_and_not_shown(_kind: DriveKind) {
    let scene = Scene::new(_kind);
    let file = scene.path("a.txt");
    let outcome = linkfs_reading(&scene, "Zx81kk02\n", &["share", "--password", "-", &file]);
    assert!(!outcome.output().contains("Zx81kk02"), "{outcome:?}");
    assert_eq!(outcome.success().lines().count(), 1);
    assert_eq!(scene.drive.open_shares()[0].code, "Zx81kk02");
    // One that the drive refuses is not repeated either.
    let bad = "fake kept code";
    let outcome = linkfs_reading(&scene, bad, &["share", "--password", "-", &file]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(!outcome.output().contains("kept"), "{outcome:?}");
    let outcome = linkfs_reading(&scene, "", &["share", "--password", "-", &file]);
    assert!(outcome.failure().contains("no access code on stdin"));
    assert_eq!(scene.drive.open_shares()[0].code, "Zx81kk02");
}

#[test]
fn what_is_on_no_mount_is_refused_and_the_rest_is_shared() {
    let scene = Scene::new(DriveKind::KooDrive);
    let (file, missing) = (scene.path("a.txt"), scene.path("missing"));
    for command in ["share", "unshare"] {
        let outcome = scene.linkfs(&[command, "/etc/hostname", &missing, &file]);
        assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
        let words = "linkfs: /etc/hostname: it is not on a mount of linkfs\n";
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("No such file"),
            "{}",
            outcome.stderr
        );
        let is_shared = command == "share";
        assert_eq!(outcome.stdout.lines().count(), usize::from(is_shared));
        assert_eq!(scene.drive.open_shares().len(), usize::from(is_shared));
    }
    assert!(
        scene
            .linkfs(&["shares", "/usr"])
            .failure()
            .contains("linkfs: ")
    );
}
