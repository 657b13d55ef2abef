//! Sharing with `setfattr` and `getfattr`, on every drive.

use std::fs;

use linkfs_tests::{DriveKind, on_every_drive, shell};

use crate::scene::{Scene, new_terms, terms};

on_every_drive! {
    fn an_attribute_shares_shows_changes_and_revokes,
    fn terms_that_are_wrong_cost_no_call_on_any_drive,
    fn a_share_that_was_revoked_elsewhere_is_revoked,
    fn tools_that_copy_attributes_make_no_share_and_no_call,
}

fn set(terms: &str, path: &str) -> String {
    format!("setfattr -n user.linkfs.share -v '{terms}' {path}")
}

fn an_attribute_shares_shows_changes_and_revokes(kind: DriveKind) {
    let scene = Scene::new(kind);
    scene.refused("getfattr -n user.linkfs.share a.txt", "No such attribute");
    scene.run(&set(terms(kind), "a.txt folder"));
    let shared = scene.drive.open_shares();
    let paths: Vec<_> = shared.iter().map(|share| share.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "folder"]);
    for share in &shared {
        let line = format!("getfattr --only-values -n user.linkfs.share {}", share.path);
        let shown = scene.run(&line);
        assert!(shown.contains(&share.address), "{shown}: {share:?}");
        let line = format!(
            "getfattr --only-values -n user.linkfs.share.password {}",
            share.path
        );
        match share.code.as_str() {
            "" => scene.refused(&line, "No such attribute"),
            code => assert_eq!(scene.run(&line), code),
        }
    }
    // What is inside is not shared by a share of its own.
    scene.refused(
        "getfattr -n user.linkfs.share folder/b.txt",
        "No such attribute",
    );

    scene.run(&set(new_terms(kind), "a.txt"));
    let changed = scene.drive.open_shares();
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert_eq!(changed[0].address, shared[0].address);
    assert_eq!(changed[0].code, shared[0].code);
    assert_ne!(changed[0].terms, shared[0].terms);
    assert_eq!(changed[1], shared[1]);

    scene.run("setfattr -x user.linkfs.share a.txt");
    assert_eq!(scene.drive.open_shares(), changed[1..]);
    scene.refused("getfattr -n user.linkfs.share a.txt", "No such attribute");
    scene.run("setfattr -x user.linkfs.share a.txt folder");
    assert_eq!(scene.drive.open_shares(), []);
}

fn terms_that_are_wrong_cost_no_call_on_any_drive(kind: DriveKind) {
    let scene = Scene::new(kind);
    let check = |bad: &str, why: &str| {
        scene.refused(&set(bad, "a.txt"), "Invalid argument");
        let said = scene.why("a.txt");
        assert!(said.contains(why), "{bad}: {said}");
        assert_eq!(scene.calls(), 0, "{bad}");
    };
    check("expires=soon", "at character 1");
    check("when=now", "unknown key");
    check("audience=members", "needs users");
    // What only this drive cannot keep it is not asked about, once its shares are known.
    scene.refused("getfattr -n user.linkfs.share a.txt", "No such attribute");
    scene.reset_counters();
    match kind {
        DriveKind::KooDrive => check("expires=400d", "365"),
        DriveKind::Pds => {
            check("audience=org", "organization");
            check("audience=members users=u-17", "named members");
        }
        DriveKind::DingTalk => {
            check("expires=7d", "expires=never");
            check("audience=members users=u-17", "expires=never");
            check("password=auto audience=org expires=never", "password=none");
        }
    }
    assert_eq!(scene.drive.open_shares(), []);
}

fn a_share_that_was_revoked_elsewhere_is_revoked(kind: DriveKind) {
    let scene = Scene::new(kind);
    scene.run(&set(terms(kind), "a.txt"));
    scene.drive.revoke_elsewhere("a.txt");
    scene.run("setfattr -x user.linkfs.share a.txt");
    scene.refused("getfattr -n user.linkfs.share a.txt", "No such attribute");
    assert_eq!(scene.drive.open_shares(), []);
    scene.run(&set(terms(kind), "a.txt"));
    assert_eq!(scene.drive.open_shares().len(), 1);
}

fn tools_that_copy_attributes_make_no_share_and_no_call(kind: DriveKind) {
    let scene = Scene::new(kind);
    scene.run(&set(terms(kind), "a.txt"));
    let shared = scene.drive.open_shares();
    assert_eq!(shared.len(), 1);
    scene.run("cat a.txt c.txt folder/b.txt");
    scene.reset_counters();
    let target = scene.mount.home().path().join("copies");
    fs::create_dir(&target).expect("a folder");
    for line in [
        "cp -a . \"$1/cp\"",
        "rsync -aX ./ \"$1/rsync/\"",
        "tar --xattrs --xattrs-include='*' -cf \"$1/all.tar\" .",
        "test -z \"$(getfattr -R -d -m - .)\"",
    ] {
        shell(scene.mount.folder(), line, &target).success();
        assert_eq!(scene.share_calls(), 0, "{line}");
    }
    let line = "mkdir tar && tar --xattrs --xattrs-include='*' -xf all.tar -C tar && getfattr -R -d -m - .";
    let copied = shell(&target, line, &target).success();
    assert!(!copied.contains("linkfs"), "{copied}");
    // Back onto the mount, onto a file that is not shared: nothing is written, nothing is shared.
    scene.refused("cp --preserve=xattr a.txt folder/b.txt", "Read-only");
    assert_eq!(scene.share_calls(), 0);
    assert_eq!(scene.drive.open_shares(), shared);
}
