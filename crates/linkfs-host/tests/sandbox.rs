//! What a confined process can do, told by one that tries.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::Arc;
use std::thread;

use linkfs_host::proxy::{Proxy, ProxyAddress};
use linkfs_host::sandbox::{Program, Sandbox, missing_pieces};
use linkfs_provider::Secret;
use tempfile::TempDir;

const PROBE: &str = env!("CARGO_BIN_EXE_linkfs-sandbox-probe");

/// A user's files, and the ports of a proxy and of something else on this machine.
struct Machine {
    folder: TempDir,
    proxy: TcpListener,
    other: TcpListener,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("home/.ssh/id_ed25519", "FAKE PRIVATE KEY"),
            ("state/other/token", "fake-token"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Machine {
            folder,
            proxy: TcpListener::bind("127.0.0.1:0").unwrap(),
            other: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn path(&self, below: &str) -> String {
        self.folder.path().join(below).display().to_string()
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state/own")
    }

    fn proxy_address(&self) -> ProxyAddress {
        ProxyAddress {
            port: port(&self.proxy),
            password: Secret::new("fake-password".to_owned()),
            network: None,
        }
    }

    fn sandbox(&self, program: &Path, args: &[&str]) -> Sandbox {
        let program = Program::at(program, args).unwrap();
        Sandbox::new(program, &self.state_dir(), Some(self.proxy_address()))
    }

    /// What became of each attempt.
    fn attempt(&self, words: &[&str]) -> BTreeMap<String, String> {
        outcomes(&self.sandbox(Path::new(PROBE), words))
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

fn outcomes(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let (output, _) = finish(sandbox.spawn().unwrap());
    let lines = output.lines().filter_map(|line| line.split_once(": "));
    lines
        .map(|(what, how)| (what.to_owned(), how.to_owned()))
        .collect()
}

/// All that it says, and whether it went well.
fn finish(mut child: Child) -> (String, bool) {
    drop(child.stdin.take());
    let (mut output, mut errors) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    let status = child.wait().unwrap();
    eprintln!("{status}\n{output}{errors}");
    (output, status.success())
}

fn check(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (what, outcome) in expected {
        assert_eq!(
            found.get(*what).map(String::as_str),
            Some(*outcome),
            "{what} of {found:?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
}

/// The rest of a test needs a kernel with every piece.
fn has_all_pieces() -> bool {
    let missing = missing_pieces();
    for piece in &missing {
        eprintln!("!!! SKIPPED: {piece}");
    }
    missing.is_empty()
}

#[test]
fn files_of_others_are_out_of_reach() {
    if !has_all_pieces() {
        return;
    }
    let machine = Machine::new();
    let key = machine.path("home/.ssh/id_ed25519");
    let found = machine.attempt(&[
        &format!("read-key={key}"),
        &format!("read-other={}", machine.path("state/other/token")),
        &format!("read-environ=/proc/{}/environ", std::process::id()),
        "read=/etc/passwd",
        &format!("list={}", machine.path("home")),
        &format!("write-outside={}", machine.path("home/new")),
        &format!("write={key}"),
        &format!("truncate={key}"),
        &format!("chmod={key}"),
        &format!("getxattr={key}"),
        &format!("symlink={}", machine.path("state/own/link")),
    ]);
    check(
        &found,
        &[
            ("read-key", "EACCES"),
            ("read-other", "EACCES"),
            ("read-environ", "EACCES"),
            ("read", "EACCES"),
            ("list", "EACCES"),
            ("write-outside", "EACCES"),
            ("write", "EACCES"),
            ("truncate", "EPERM"),
            ("chmod", "EPERM"),
            ("getxattr", "EPERM"),
            ("symlink", "EACCES"),
        ],
    );
    assert_eq!(fs::read_to_string(key).unwrap(), "FAKE PRIVATE KEY");
}

#[test]
fn the_proxy_is_the_only_way_out() {
    if !has_all_pieces() {
        return;
    }
    let machine = Machine::new();
    let found = machine.attempt(&[
        &format!("connect-proxy=127.0.0.1:{}", port(&machine.proxy)),
        &format!("connect-other=127.0.0.1:{}", port(&machine.other)),
        &format!("fast-open={}", port(&machine.other)),
        "connect=192.0.2.1:443",
        "listen",
        "udp",
        "mptcp",
        "raw",
        "netlink",
        "unix",
        "datagram-pair",
    ]);
    check(
        &found,
        &[
            ("connect-proxy", "ok"),
            ("connect-other", "EACCES"),
            ("fast-open", "EPERM"),
            ("connect", "EACCES"),
            ("listen", "EPERM"),
            ("udp", "EPERM"),
            ("mptcp", "EPERM"),
            ("raw", "EPERM"),
            ("netlink", "EPERM"),
            ("unix", "EPERM"),
            ("datagram-pair", "EPERM"),
        ],
    );
}

#[tokio::test]
async fn the_port_of_the_proxy_leads_nowhere_else() {
    if !has_all_pieces() {
        return;
    }
    let machine = Machine::new();
    let proxy = Proxy::start_apart(Arc::default()).await.unwrap();
    let number = proxy.address().port;
    // Without a network of its own, this is what Landlock lets a plugin reach.
    let elsewhere = TcpListener::bind(("127.0.0.2", number)).unwrap();
    let words = [
        format!("connect-proxy=127.0.0.1:{number}"),
        format!("connect-other={}", elsewhere.local_addr().unwrap()),
        format!("connect=192.0.2.1:{number}"),
    ];
    let words = words.each_ref().map(String::as_str);
    let program = Program::at(Path::new(PROBE), &words).unwrap();
    let sandbox = Sandbox::new(program, &machine.state_dir(), Some(proxy.address().clone()));
    let found = tokio::task::spawn_blocking(move || outcomes(&sandbox));
    check(
        &found.await.unwrap(),
        &[
            ("connect-proxy", "ok"),
            ("connect-other", "ECONNREFUSED"),
            ("connect", "ENETUNREACH"),
        ],
    );
}

#[test]
fn without_a_proxy_there_is_no_way_out() {
    if !has_all_pieces() {
        return;
    }
    let machine = Machine::new();
    let word = format!("connect=127.0.0.1:{}", port(&machine.proxy));
    let program = Program::at(Path::new(PROBE), &[&word, "environment"]).unwrap();
    let found = outcomes(&Sandbox::new(program, &machine.state_dir(), None));
    assert_eq!(found["connect"], "EACCES");
    assert!(
        !found["environment"].to_lowercase().contains("proxy"),
        "{found:?}"
    );
}

/// What the filter of calls refuses, on every kernel.
const PROCESSES: &[(&str, &str)] = &[
    ("exec=/bin/true", "EPERM"),
    ("exec-at=/bin/true", "EPERM"),
    ("spawn=/bin/true", "EPERM"),
    ("fork", "EPERM"),
    ("forks", "ok 0 made"),
    ("clone3", "ENOSYS"),
    ("ptrace", "EPERM"),
    ("kill", "EPERM"),
    ("limits", "EPERM"),
    ("outlive", "EPERM"),
    ("more-descriptors", "EPERM"),
    ("memory", "ENOMEM"),
    ("mount", "EPERM"),
    ("unshare", "EPERM"),
    ("io-uring", "EPERM"),
    ("new-call", "ENOSYS"),
    ("udp", "EPERM"),
    ("unix", "EPERM"),
    ("kill-self", "ok"),
];

fn check_processes(sandbox: impl Fn(&[&str]) -> Sandbox) {
    let words: Vec<_> = PROCESSES.iter().map(|(word, _)| *word).collect();
    let found = outcomes(&sandbox(&words));
    let plain = |word: &'static str| word.split('=').next().unwrap_or(word);
    let expected: Vec<_> = PROCESSES
        .iter()
        .map(|(word, how)| (plain(word), *how))
        .collect();
    check(&found, &expected);
}

#[test]
fn other_processes_and_the_kernel_are_out_of_reach() {
    let machine = Machine::new();
    check_processes(|words| machine.sandbox(Path::new(PROBE), words));
}

#[test]
fn without_landlock_calls_are_still_refused() {
    let machine = Machine::new();
    check_processes(|words| {
        machine
            .sandbox(Path::new(PROBE), words)
            .with_landlock_up_to(0)
    });
    let key = format!("read-key={}", machine.path("home/.ssh/id_ed25519"));
    let open = machine
        .sandbox(Path::new(PROBE), &[&key])
        .with_landlock_up_to(0);
    // The test's own attempt works where nothing refuses it.
    check(&outcomes(&open), &[("read-key", "ok 8 bytes")]);
}

#[test]
fn every_version_of_landlock_holds_what_it_can() {
    if !has_all_pieces() {
        return;
    }
    let machine = Machine::new();
    let key = format!("read-key={}", machine.path("home/.ssh/id_ed25519"));
    let other = format!("connect-other=127.0.0.1:{}", port(&machine.other));
    let outside = format!("write-outside={}", machine.path("home/new"));
    for abi in 1..=9 {
        let words = [key.as_str(), &other, &outside, "kill"];
        let sandbox = machine.sandbox(Path::new(PROBE), &words);
        check(
            &outcomes(&sandbox.with_landlock_up_to(abi)),
            &[
                ("read-key", "EACCES"),
                ("connect-other", if abi < 4 { "ok" } else { "EACCES" }),
                ("write-outside", "EACCES"),
                ("kill", "EPERM"),
            ],
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_under_other_numbers_are_refused() {
    check(&Machine::new().attempt(&["x32"]), &[("x32", "ENOSYS")]);
}

#[test]
fn a_process_starts_with_nothing_of_its_hosts() {
    let machine = Machine::new();
    let found = machine.attempt(&["descriptors", "environment", "state"]);
    let mut names = vec![
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "LANG",
        "PATH",
        "TMPDIR",
        "http_proxy",
        "https_proxy",
    ];
    names.extend(
        ["SSL_CERT_DIR", "SSL_CERT_FILE"]
            .iter()
            .filter(|name| std::env::var_os(name).is_some()),
    );
    names.sort_unstable();
    check(
        &found,
        &[
            ("descriptors", "ok 0,1,2"),
            ("environment", &format!("ok {}", names.join(","))),
            (
                "state",
                "ok / session=true mask=77 no-new-privileges=1 powerless=true",
            ),
        ],
    );
}

#[test]
fn what_a_plugin_needs_works() {
    let machine = Machine::new();
    let certificates = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    let certificates = certificates.iter().find(|path| Path::new(path).exists());
    let read_ca = format!("read-ca={}", certificates.unwrap_or(&"/etc/hosts"));
    let inside = format!("write-inside={}", machine.path("state/own/inside"));
    let found = machine.attempt(&["threads", "pair", &inside, &read_ca, "read=/dev/urandom"]);
    check(
        &found,
        &[
            ("threads", "ok 28"),
            ("pair", "ok"),
            ("write-inside", "ok"),
            ("read-ca", "ok 8 bytes"),
            ("read", "ok 8 bytes"),
        ],
    );
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(permissions(&machine.state_dir()), 0o700);
    assert_eq!(permissions(&machine.state_dir().join("inside")), 0o600);
}

#[test]
fn a_shell_script_reads_and_answers() {
    let machine = Machine::new();
    let script = machine.script(
        "plugin.sh",
        "#!/bin/sh -u\nwhile read -r line; do echo \"heard $line as $1\"; done\n",
    );
    let mut child = machine.sandbox(&script, &["guest"]).spawn().unwrap();
    say(&mut child.stdin, "hello\nagain\n");
    let (output, is_well) = finish(child);
    assert_eq!(
        (output.as_str(), is_well),
        ("heard hello as guest\nheard again as guest\n", true)
    );
}

#[test]
fn a_script_in_the_place_of_the_one_that_was_looked_at_is_not_run() {
    if !has_all_pieces() {
        return;
    }
    let machine = Machine::new();
    let script = machine.script("plugin.sh", "#!/bin/sh\necho first\n");
    let sandbox = machine.sandbox(&script, &[]);
    let (output, is_well) = finish(sandbox.spawn().unwrap());
    assert_eq!((output.as_str(), is_well), ("first\n", true));
    let other = machine.script("other.sh", "#!/bin/sh\necho second\n");
    fs::rename(other, script).unwrap();
    let (output, is_well) = finish(sandbox.spawn().unwrap());
    assert_eq!((output.as_str(), is_well), ("", false));
}

#[test]
fn a_python_script_has_its_library() {
    if !Path::new("/usr/bin/python3").exists() {
        eprintln!("!!! SKIPPED: there is no /usr/bin/python3");
        return;
    }
    let machine = Machine::new();
    let script = machine.script("plugin.py", PYTHON);
    let mut child = machine.sandbox(&script, &[]).spawn().unwrap();
    say(&mut child.stdin, "{\"id\": 7}\n");
    let (output, is_well) = finish(child);
    assert_eq!(
        (output.as_str(), is_well),
        ("{\"heard\": 7, \"tls\": true, \"temporary\": true}\n", true)
    );
}

const PYTHON: &str = r#"#!/usr/bin/env python3
import asyncio, hashlib, json, os, socket, ssl, sys, tempfile, threading, time, urllib.request

worker = threading.Thread(target=time.time)
worker.start()
worker.join()
asyncio.run(asyncio.sleep(0))
context = ssl.create_default_context()
with tempfile.TemporaryFile() as temporary:
    temporary.write(b"token")
assert urllib.request.getproxies()["https"].startswith("http://linkfs:")
for line in sys.stdin:
    question = json.loads(line)
    answer = {"heard": question["id"], "tls": context.check_hostname, "temporary": True}
    print(json.dumps(answer), flush=True)
"#;

fn say(stdin: &mut Option<ChildStdin>, text: &str) {
    stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_process_ends_with_the_thread_that_started_it() {
    let machine = Machine::new();
    let script = machine.script("wait.sh", "#!/bin/sh\nread -r line\n");
    let sandbox = machine.sandbox(&script, &[]);
    let mut child = thread::spawn(move || sandbox.spawn().unwrap())
        .join()
        .unwrap();
    // Its input stays open, so nothing else ends it.
    let _input = child.stdin.take();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn what_cannot_be_executed_is_an_error() {
    let machine = Machine::new();
    let text = machine.script("text", "no program\n");
    assert!(machine.sandbox(&text, &[]).spawn().is_err());
}
