//! No read fails because a link ended or was refused, and no link is used that is known to be over.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use linkfs_emulator::koodrive::{Credentials, Emulator, Options};
use linkfs_emulator::{Action, DataRequest, EmulatedDrive, LinkPolicy, ROOT_ID, Rule, Tree};
use serde_json::Value;

use linkfs_tests::{
    DriveKind, MountBuilder, Mounted, assert_at_rest, eventually, mib, on_every_drive, read_all,
    shell, tree_with_file, true_bytes, within,
};

on_every_drive! {
    fn a_gigabyte_is_read_over_links_that_live_two_seconds,
    fn a_link_that_is_about_to_end_is_renewed_before_it_is_used,
    fn links_revoked_in_mid_stream_cost_one_new_link_each,
    fn an_answer_that_is_rarely_so_late_is_asked_for_twice,
    fn reading_goes_on_at_the_exact_byte_after_a_refusal,
    fn a_refusal_again_and_again_with_bytes_in_between_does_not_show,
    fn every_way_of_refusing_a_link_gets_a_new_one,
    fn a_link_that_ends_earlier_than_it_says_is_replaced,
    fn a_link_refused_twice_is_a_missing_permission,
    fn many_readers_of_a_refused_file_sign_once,
    fn a_file_that_is_read_for_the_first_time_by_many_is_signed_once,
    fn a_token_that_expires_in_mid_use_is_renewed,
    fn a_token_that_expires_between_two_listings_is_renewed,
    fn a_redirect_to_another_host_is_followed_without_anything_of_ours,
    fn redirects_in_a_circle_are_given_up,
    fn a_redirect_away_from_http_is_refused,
    fn links_to_this_machine_are_refused_unless_allowed,
    fn an_attribute_gives_a_direct_link,
}

/// A drive with one file at its top, mounted.
struct Scene {
    emulator: Box<dyn EmulatedDrive>,
    tree: Tree,
    mount: Mounted,
    id: String,
}

impl Scene {
    fn new(kind: DriveKind, size: u64) -> Scene {
        Scene::with(kind, size, kind.links(), |builder| builder)
    }

    fn with(
        kind: DriveKind,
        size: u64,
        links: LinkPolicy,
        adapt: impl FnOnce(MountBuilder) -> MountBuilder,
    ) -> Scene {
        let (tree, id) = tree_with_file("file.bin", 77, size);
        let emulator = kind.setup(tree.clone()).links(links).start();
        let mount = adapt(Mounted::builder(&*emulator)).mount();
        Scene {
            emulator,
            tree,
            mount,
            id,
        }
    }

    fn open(&self) -> File {
        File::open(self.mount.path("file.bin")).expect("it opens")
    }

    fn size(&self) -> u64 {
        self.tree.node(&self.id).expect("it is there").size()
    }

    fn signings(&self) -> u64 {
        self.emulator.counters().calls(self.emulator.calls().sign)
    }

    fn served(&self) -> u64 {
        let counts = self.emulator.counters().snapshot();
        counts.files.get(&self.id).map_or(0, |file| file.bytes)
    }

    fn data_log(&self) -> Vec<DataRequest> {
        self.emulator.counters().snapshot().data_log.into()
    }

    /// Reads on from `from` to `to` and compares every byte.
    #[track_caller]
    fn compare(&self, file: &File, from: u64, to: u64) {
        let mut seen = vec![0; mib(1) as usize];
        let mut at = from;
        while at < to {
            let length = seen.len().min((to - at) as usize);
            let piece = &mut seen[..length];
            if let Err(error) = file.read_exact_at(piece, at) {
                panic!("{length} bytes at {at}: {error}");
            }
            let expected = self.tree.read(&self.id, at, length).expect("known bytes");
            assert!(piece == &expected[..], "{length} bytes at {at}");
            at += length as u64;
        }
    }

    #[track_caller]
    fn assert_at_rest(&self) {
        assert_at_rest(&*self.emulator, &self.mount);
    }
}

/// The bytes that a `Range` header asks for, both ends included.
fn span(request: &DataRequest) -> (u64, u64) {
    let text = request.range.strip_prefix("bytes=").expect("a range");
    let (first, last) = text.split_once('-').expect("with two ends");
    let number = |text: &str| text.parse().expect("a number");
    (number(first), number(last))
}

fn two_seconds(kind: DriveKind) -> LinkPolicy {
    LinkPolicy {
        life_s: 2,
        ..kind.links()
    }
}

fn a_gigabyte_is_read_over_links_that_live_two_seconds(kind: DriveKind) {
    let scene = Scene::with(kind, mib(1024), two_seconds(kind), |builder| builder);
    // Four or five streams at once: twenty seconds.
    let rate = 12 << 20;
    scene
        .emulator
        .pacing()
        .update(|pacing| pacing.rate_per_stream = rate);
    let file = scene.open();
    scene.compare(&file, 0, scene.size());
    drop(file);
    let counts = scene.emulator.counters().snapshot();
    assert_eq!(
        counts.expired_links, 0,
        "requests with a link that was over"
    );
    assert_eq!(counts.data_errors, 0);
    // None serves for longer than two seconds.
    assert!(scene.signings() >= 8, "{}", scene.signings());
    assert!(
        scene.served() <= mib(1024) / 100 * 102,
        "{}",
        scene.served()
    );
    scene.assert_at_rest();
}

fn a_link_that_is_about_to_end_is_renewed_before_it_is_used(kind: DriveKind) {
    // Each read needs a request, and there are some in each tenth of a second of the link's life.
    let scene = Scene::with(kind, mib(256), two_seconds(kind), |builder| builder);
    scene
        .emulator
        .pacing()
        .update(|pacing| pacing.data_latency_ms = 20);
    let file = scene.open();
    for number in 0..240 {
        // Jumps: nothing is fetched ahead.
        let at = mib(number * 97 % 256) + 4096 * number;
        scene.compare(&file, at, at + 512);
    }
    drop(file);
    let counts = scene.emulator.counters().snapshot();
    assert!(counts.data_requests >= 200, "{}", counts.data_requests);
    assert!(scene.signings() >= 3, "{}", scene.signings());
    assert_eq!((counts.expired_links, counts.data_errors), (0, 0));
    scene.assert_at_rest();
}

fn links_revoked_in_mid_stream_cost_one_new_link_each(kind: DriveKind) {
    let scene = Scene::new(kind, mib(192));
    let file = scene.open();
    for part in 0..3 {
        scene.compare(&file, mib(64 * part), mib(64 * (part + 1)));
        scene.emulator.revoke_links();
    }
    drop(file);
    let counts = scene.emulator.counters().snapshot();
    // The third revocation comes when all has been read.
    assert_eq!(scene.signings(), 3);
    assert!(counts.revoked_links >= 2);
    assert_eq!(counts.data_errors, counts.revoked_links);
    assert!(scene.served() <= mib(192) / 100 * 102, "{}", scene.served());
    scene.assert_at_rest();
}

fn an_answer_that_is_rarely_so_late_is_asked_for_twice(kind: DriveKind) {
    const READS: u64 = 40;
    let scene = Scene::new(kind, mib(256));
    let file = scene.open();
    for read in 1..=READS {
        scene.compare(&file, mib(6 * read), mib(6 * read) + 4096);
    }
    let usual = scene.data_log().len() as u64;
    let faults = scene.emulator.faults();
    faults.add(Rule::on("data", Action::NeverAnswer).nth(1));
    let place = mib(251);
    scene.compare(&file, place, place + 4096);
    let log = scene.data_log();
    let spans: Vec<_> = log[usual as usize..].iter().map(span).collect();
    let expected = (place, place + 4095);
    assert!(
        spans.len() <= 2 && spans.iter().all(|span| *span == expected),
        "{spans:?}"
    );
    // Nobody waited until the host was taken for broken.
    let status = scene.mount.status();
    for host in status["drives"][0]["hosts"]
        .as_array()
        .expect("a list of hosts")
    {
        assert_eq!(host["failures"], 0, "{status}");
    }
    faults.release();
    drop(file);
    scene.assert_at_rest();
}

fn reading_goes_on_at_the_exact_byte_after_a_refusal(kind: DriveKind) {
    const CUT: u64 = 100_003;
    let scene = Scene::new(kind, mib(16));
    let faults = scene.emulator.faults();
    // The first answer breaks off, and the link is refused when the rest is asked for.
    faults.add(Rule::on("data", Action::CutBody { at: CUT }).nth(1));
    faults.add(Rule::on("data", Action::RevokeLinks).nth(2));
    let file = scene.open();
    // Behind the cut, and small enough for one request at a time.
    scene.compare(&file, 0, 2 * CUT);
    let log = scene.data_log();
    let (first, last) = span(&log[0]);
    assert_eq!((first, log[0].status), (0, 206));
    let rest = log.iter().filter(|request| span(request) == (CUT, last));
    let statuses: Vec<u16> = rest.map(|request| request.status).collect();
    assert_eq!(statuses, [403, 206], "{log:?}");
    scene.compare(&file, 0, scene.size());
    drop(file);
    assert_eq!(scene.signings(), 2);
    // Beside the refused and the broken request, no byte is asked for twice.
    let log = scene.data_log();
    let mut spans: Vec<_> = log
        .iter()
        .skip(1)
        .filter(|request| request.status == 206)
        .map(span)
        .collect();
    spans.push((0, CUT - 1));
    spans.sort_unstable();
    let mut next = 0;
    for (first, last) in spans {
        assert_eq!(first, next, "{log:?}");
        next = last + 1;
    }
    assert_eq!(next, scene.size());
    scene.assert_at_rest();
}

fn a_refusal_again_and_again_with_bytes_in_between_does_not_show(kind: DriveKind) {
    let scene = Scene::new(kind, mib(64));
    let faults = scene.emulator.faults();
    faults.add(Rule::on("data", Action::CutBody { at: 700_001 }));
    // Far enough from each other for every transfer under way to have had bytes in between.
    for number in [2, 20, 40, 60] {
        faults.add(Rule::on("data", Action::RevokeLinks).nth(number));
    }
    let file = scene.open();
    scene.compare(&file, 0, scene.size());
    drop(file);
    let revocations: u64 = faults.hits()[1..].iter().map(|hit| hit.1).sum();
    assert_eq!(revocations, 4);
    // A link revoked while requests with its predecessor are under way may never be used.
    assert!((2..=5).contains(&scene.signings()), "{}", scene.signings());
    // A request refused twice in a row because of that ends its job, and the block it was filling is
    // fetched again.
    assert!(scene.served() <= mib(64) / 100 * 102, "{}", scene.served());
    scene.assert_at_rest();
}

fn every_way_of_refusing_a_link_gets_a_new_one(kind: DriveKind) {
    for refusal_status in [401, 403, 404, 410] {
        let links = LinkPolicy {
            refusal_status,
            ..kind.links()
        };
        let scene = Scene::with(kind, mib(16), links, |builder| builder);
        let file = scene.open();
        scene.compare(&file, 0, 4096);
        scene.emulator.revoke_links();
        scene.compare(&file, 0, scene.size());
        drop(file);
        assert_eq!(scene.signings(), 2, "{refusal_status}");
        scene.assert_at_rest();
    }
}

fn a_link_that_ends_earlier_than_it_says_is_replaced(kind: DriveKind) {
    // It says an hour and holds for a second.
    let links = LinkPolicy {
        dies_after_s: Some(1),
        ..kind.links()
    };
    let scene = Scene::with(kind, mib(48), links, |builder| builder);
    let rate = 3 << 20;
    scene
        .emulator
        .pacing()
        .update(|pacing| pacing.rate_per_stream = rate);
    let file = scene.open();
    scene.compare(&file, 0, scene.size());
    drop(file);
    let counts = scene.emulator.counters().snapshot();
    assert!(counts.revoked_links >= 1);
    assert!(scene.signings() >= 2);
    scene.assert_at_rest();
}

fn a_link_refused_twice_is_a_missing_permission(kind: DriveKind) {
    for status in [401, 403] {
        let scene = Scene::new(kind, mib(1));
        let refusal = Action::Status {
            code: status,
            retry_after: None,
            body: None,
        };
        scene.emulator.faults().add(Rule::on("data", refusal));
        let path = scene.mount.path("file.bin");
        assert_eq!(read_all(&path), Err(libc::EACCES));
        assert_eq!(scene.signings(), 2, "a second link, and no third");
        let told = error_of(&scene);
        assert!(told.contains("refuses a fresh link"), "{told}");
        scene.emulator.faults().clear();
        assert!(read_all(&path) == Ok(true_bytes(&scene.tree, &scene.id)));
        scene.assert_at_rest();
    }
}

fn error_of(scene: &Scene) -> String {
    let told = xattr::get(scene.mount.path("file.bin"), "user.linkfs.error");
    let told = told.expect("it is told").expect("it is there");
    String::from_utf8(told).expect("it is text")
}

fn many_readers_of_a_refused_file_sign_once(kind: DriveKind) {
    let scene = Scene::new(kind, mib(32));
    let file = scene.open();
    scene.compare(&file, 0, 4096);
    assert_eq!(scene.signings(), 1);
    scene.emulator.revoke_links();
    scene
        .emulator
        .pacing()
        .update(|pacing| pacing.api_latency_ms = 300);
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let mut reader = Command::new("sha256sum");
            reader
                .arg(scene.mount.path("file.bin"))
                .stdout(Stdio::piped());
            reader.spawn().expect("sha256sum starts")
        })
        .collect();
    let sums: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.wait_with_output().expect("it ends"))
        .collect();
    assert!(
        sums.iter()
            .all(|sum| sum.status.success() && sum.stdout == sums[0].stdout)
    );
    scene.compare(&file, 0, scene.size());
    drop(file);
    assert_eq!(scene.signings(), 2);
    scene.assert_at_rest();
}

/// Only KooDrive signs several files at once.
#[test]
fn a_file_that_cannot_be_signed_does_not_fail_the_files_signed_with_it() {
    let (tree, bad) = tree_with_file("bad.bin", 1, mib(1));
    let good = tree.add_generated(ROOT_ID, "good.bin", 2, mib(1));
    let emulator =
        Emulator::start_blocking(Options::with_tree(tree.clone())).expect("the emulator starts");
    let mount = Mounted::builder(&emulator).deadline("4s").mount();
    let unavailable = Action::ItemError {
        code: 13_000_408,
        message: "download failed".into(),
    };
    emulator
        .faults()
        .add(Rule::on("download", unavailable).file(&bad));
    emulator
        .pacing()
        .update(|pacing| pacing.api_latency_ms = 500);
    let path = mount.path("bad.bin");
    let failing = thread::spawn(move || read_all(&path));
    eventually("both files are asked for", || {
        emulator.counters().calls("download") > 0
    });
    assert!(read_all(&mount.path("good.bin")) == Ok(true_bytes(&tree, &good)));
    assert_eq!(failing.join().expect("it ends"), Err(libc::EHOSTDOWN));
    let batches = emulator.counters().snapshot().download_batches;
    assert_eq!(batches[0], [bad, good], "they were asked for together");
    assert_at_rest(&emulator, &mount);
}

fn a_file_that_is_read_for_the_first_time_by_many_is_signed_once(kind: DriveKind) {
    let scene = Scene::new(kind, mib(8));
    scene
        .emulator
        .pacing()
        .update(|pacing| pacing.api_latency_ms = 300);
    let line = "for reader in $(seq 16); do cksum file.bin & done | sort -u | wc -l; wait";
    let different = shell(scene.mount.folder(), line, scene.mount.folder());
    assert_eq!(different.success().trim(), "1");
    assert_eq!(scene.signings(), 1);
    scene.assert_at_rest();
}

/// A KooDrive may be mounted with a ready token alone.
#[test]
fn an_expired_token_that_nobody_can_renew_says_what_to_do() {
    let scene = Scene::new(DriveKind::KooDrive, mib(1));
    scene.emulator.expire_tokens();
    let path = scene.mount.path("file.bin");
    assert_eq!(read_all(&path), Err(libc::EACCES));
    let told = error_of(&scene);
    assert!(
        told.contains("put a new token into the configuration"),
        "{told}"
    );
    let drive = &scene.mount.status()["drives"][0];
    assert_eq!(drive["state"], "needs login", "{drive}");
    let (reason, advice) = (drive["reason"].to_string(), drive["advice"].to_string());
    assert!(reason.contains("no longer accepted"), "{reason}");
    assert!(advice.contains("new token"), "{advice}");
    scene.assert_at_rest();
}

/// The drive mounted with a login that renews its token: KooDrive as a browser's session; the others are
/// mounted so anyway.
fn renewable(kind: DriveKind) -> impl FnOnce(MountBuilder) -> MountBuilder {
    move |builder| match kind {
        DriveKind::KooDrive => {
            let session = Credentials::default().session_id;
            builder
                .key("auth_mode", "session".into())
                .key("session_id", session.into())
        }
        DriveKind::Pds | DriveKind::DingTalk => builder,
    }
}

/// How often a token was asked for; a drive may have several kinds, as `token.app` and `token.user`.
fn renewals(emulator: &dyn EmulatedDrive) -> u64 {
    let name = emulator.calls().token;
    let counts = emulator.counters().snapshot();
    let is_token = |call: &str| {
        let kind = call.strip_prefix(name);
        kind.is_some_and(|kind| kind.is_empty() || kind.starts_with('.'))
    };
    let calls = counts.calls.iter();
    calls
        .filter(|(call, _)| is_token(call))
        .map(|(_, count)| count)
        .sum()
}

fn a_token_that_expires_in_mid_use_is_renewed(kind: DriveKind) {
    let scene = Scene::with(kind, mib(192), kind.links(), renewable(kind));
    let before = renewals(&*scene.emulator);
    let file = scene.open();
    for part in 0..3 {
        scene.compare(&file, mib(64 * part), mib(64 * (part + 1)));
        scene.emulator.expire_tokens();
        // Without a new link nobody would need the token.
        scene.emulator.revoke_links();
    }
    drop(file);
    assert_eq!(renewals(&*scene.emulator), before + 2);
    assert_eq!(scene.mount.status()["drives"][0]["state"], "ok");
    scene.assert_at_rest();
}

fn a_token_that_expires_between_two_listings_is_renewed(kind: DriveKind) {
    let tree = Tree::new();
    for name in ["a", "b", "c"] {
        tree.add_folder(ROOT_ID, name);
    }
    let emulator = kind.start(tree);
    let mount = renewable(kind)(Mounted::builder(&*emulator)).mount();
    let before = renewals(&*emulator);
    for name in ["a", "b", "c"] {
        emulator.expire_tokens();
        assert_eq!(fs::read_dir(mount.path(name)).expect("it lists").count(), 0);
    }
    assert_eq!(renewals(&*emulator), before + 3);
    assert_at_rest(&*emulator, &mount);
}

/// A session of KooDrive that somebody ended; what ends the logins of the others is with their own tests.
#[test]
fn a_token_revoked_for_good_ends_in_a_missing_permission() {
    let (tree, _) = tree_with_file("file.bin", 77, mib(1));
    let emulator = Emulator::start_blocking(Options::with_tree(tree)).expect("the emulator starts");
    let mount = renewable(DriveKind::KooDrive)(Mounted::builder(&emulator)).mount();
    emulator.revoke_tokens();
    assert_eq!(read_all(&mount.path("file.bin")), Err(libc::EACCES));
    assert_eq!(mount.status()["drives"][0]["state"], "needs login");
    assert_at_rest(&emulator, &mount);
}

/// Serves one file to whoever asks for a range of it, and gives the heads of the requests.
fn other_host(bytes: Vec<u8>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    // A name of its own, so that it is another host by every measure.
    let address = format!("http://localhost:{port}/moved/file?key=x");
    let heads = thread::spawn(move || {
        let mut heads = Vec::new();
        for stream in listener.incoming() {
            let head = head(stream.as_ref().expect("a connection"));
            if head.starts_with("END") {
                break;
            }
            answer(stream.expect("a connection"), &head, &bytes);
            heads.push(head);
        }
        heads
    });
    (address, heads)
}

fn head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let lines: Vec<_> = lines
        .take_while(|line| !line.is_empty() && line != "END")
        .collect();
    if lines.is_empty() {
        "END".into()
    } else {
        lines.join("\n")
    }
}

fn answer(mut stream: TcpStream, head: &str, bytes: &[u8]) {
    let range = head.to_lowercase();
    let range = range
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="));
    let (first, last) = range
        .and_then(|range| range.split_once('-'))
        .expect("a range");
    let (first, last): (usize, usize) = (
        first.parse().expect("a number"),
        last.parse().expect("a number"),
    );
    let piece = &bytes[first..=last];
    let (length, total) = (piece.len(), bytes.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {first}-{last}/{total}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it goes out");
    stream.write_all(piece).expect("it goes out");
}

fn a_redirect_to_another_host_is_followed_without_anything_of_ours(kind: DriveKind) {
    let scene = Scene::new(kind, mib(6));
    let bytes = true_bytes(&scene.tree, &scene.id);
    let (address, heads) = other_host(bytes.clone());
    let redirect = Action::Redirect {
        to: address.clone(),
    };
    scene.emulator.faults().add(Rule::on("data", redirect));
    assert!(read_all(&scene.mount.path("file.bin")) == Ok(bytes));
    let authority = address.split('/').nth(2).expect("host and port").to_owned();
    let mut end = TcpStream::connect(&authority).expect("it listens");
    end.write_all(b"END\r\n\r\n").expect("it reads");
    let heads = within(Duration::from_secs(10), move || {
        heads.join().expect("it served")
    });
    assert!(!heads.is_empty());
    for head in heads {
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("GET /moved/file?key=x HTTP/1.1"));
        let names: Vec<_> = lines
            .map(|line| line.split(':').next().unwrap_or_default().to_lowercase())
            .collect();
        let allowed = ["host", "range", "user-agent", "accept", "accept-encoding"];
        assert!(
            names.iter().all(|name| allowed.contains(&name.as_str())),
            "{head}"
        );
    }
    scene.assert_at_rest();
}

fn redirects_in_a_circle_are_given_up(kind: DriveKind) {
    let scene = Scene::new(kind, mib(1));
    let to = format!("{}/circle", scene.emulator.data_endpoint());
    scene
        .emulator
        .faults()
        .add(Rule::on("data", Action::Redirect { to }));
    assert_eq!(read_all(&scene.mount.path("file.bin")), Err(libc::EIO));
    let requests = scene.emulator.counters().snapshot().data_requests;
    assert_eq!(requests, 2 * 4, "two tries, each with three redirects");
    let told = error_of(&scene);
    assert!(told.contains("more than 3 redirects"), "{told}");
    scene.assert_at_rest();
}

fn a_redirect_away_from_http_is_refused(kind: DriveKind) {
    for to in [
        "ftp://127.0.0.1/file",
        "file:///etc/passwd",
        "no address at all:",
    ] {
        let scene = Scene::new(kind, mib(1));
        scene
            .emulator
            .faults()
            .add(Rule::on("data", Action::Redirect { to: to.into() }));
        assert_eq!(
            read_all(&scene.mount.path("file.bin")),
            Err(libc::EIO),
            "{to}"
        );
        scene.assert_at_rest();
    }
}

fn links_to_this_machine_are_refused_unless_allowed(kind: DriveKind) {
    let scene = Scene::with(kind, mib(1), kind.links(), |builder| {
        builder.key("allow_private_hosts", false.into())
    });
    let result = read_all(&scene.mount.path("file.bin"));
    assert_eq!(result, Err(libc::EIO));
    assert_eq!(scene.emulator.counters().snapshot().data_requests, 0);
    let told = error_of(&scene);
    assert!(told.contains("allow_private_hosts"), "{told}");
    scene.assert_at_rest();
}

fn an_attribute_gives_a_direct_link(kind: DriveKind) {
    let scene = Scene::new(kind, 10_000);
    let path = scene.mount.path("file.bin");
    let attribute = |name: &str| {
        let value = xattr::get(&path, name).expect("it is read");
        value.map(|value| String::from_utf8(value).expect("text"))
    };
    let link = attribute("user.linkfs.link").expect("there is one");
    let link: Value = serde_json::from_str(&link).expect("JSON");
    assert!(link["valid_for_seconds"].as_u64() > Some(0));
    let headers = link["headers"].as_object().expect("headers");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "-r", "0-"]);
    for (name, value) in headers {
        curl.arg("-H")
            .arg(format!("{name}: {}", value.as_str().expect("text")));
    }
    let address = link["urls"][0].as_str().expect("an address");
    let got = curl.arg(address).output().expect("curl runs").stdout;
    assert!(got == true_bytes(&scene.tree, &scene.id), "other bytes");
    let plain = attribute("user.linkfs.url");
    assert_eq!(plain.is_some(), headers.is_empty(), "{kind:?}");
}
