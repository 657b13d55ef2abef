//! Which of a plugin's processes is asked, told by scripts whose steps the tests give the order of.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use linkfs_host::Launch;
use linkfs_provider::{ByteCount, ErrorKind, Provider, Redactor, Secret, Settings};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{self, Receiver, Sender};

/// Its processes are numbered in the order in which they start: a process has its number for a version, and
/// says that so many bytes are used.
const NUMBERED: &str = r#"#!/bin/sh
cd "$TMPDIR"
number=1
while [ -e "started-$number" ]; do number=$((number + 1)); done
: > "started-$number"
exec 3> "end-of-$number"
echo "$number" > starts
echo '{"protocols":[1],"name":"numbered","version":"'$number'"}'
read -r configure
root=top
case $number in 2) SECOND ;; esac
echo '{"about":{"root":"'$root'"}}'
while read -r request; do
    id=${request#*'"id":'}
    echo '{"id":'${id%%,*}',"ok":{"used":'$number'}}'
done
"#;

/// A drive whose processes tell the test of themselves by pipes in their state folder.
struct Scene {
    folder: TempDir,
    starts: BufReader<Receiver>,
    /// Ends when the second process does.
    end_of_second: Receiver,
    gate: Sender,
}

impl Scene {
    /// With a plugin whose second process does `second` before it opens the drive.
    fn new(second: &str) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("plugin");
        fs::write(&plugin, NUMBERED.replace("SECOND", second)).unwrap();
        fs::set_permissions(&plugin, Permissions::from_mode(0o755)).unwrap();
        let fifo = |name: &str| {
            let path = folder.path().join(name);
            mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
            path
        };
        // These two have both ends open, so that neither side waits for the other to open its own.
        let mut both = pipe::OpenOptions::new();
        both.read_write(true);
        Scene {
            starts: BufReader::new(both.open_receiver(fifo("starts")).unwrap()),
            gate: both.open_sender(fifo("gate")).unwrap(),
            end_of_second: pipe::OpenOptions::new()
                .open_receiver(fifo("end-of-2"))
                .unwrap(),
            folder,
        }
    }

    async fn open(&self) -> Arc<dyn Provider> {
        self.launch(self.folder.path()).open().await.unwrap()
    }

    fn launch(&self, state_dir: &Path) -> Launch {
        Launch {
            name: "numbered".to_owned(),
            program: self.path("plugin"),
            arguments: Vec::new(),
            settings: Settings {
                config: Secret::default(),
                state_dir: state_dir.to_owned(),
            },
            redactor: Redactor::default(),
            patience: Duration::from_secs(60),
            silence: Duration::from_secs(60),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(self.path("plugin"), Permissions::from_mode(mode)).unwrap();
    }

    /// Waits until another process has started.
    async fn note_start(&mut self, number: &str) {
        let mut line = String::new();
        self.starts.read_line(&mut line).await.unwrap();
        assert_eq!(line.trim(), number);
    }

    async fn note_end_of_second(&mut self) {
        let mut nothing = Vec::new();
        self.end_of_second.read_to_end(&mut nothing).await.unwrap();
    }
}

/// Lets it come to where it waits.
async fn begin<F: Future>(mut future: std::pin::Pin<&mut F>) {
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn version(provider: &dyn Provider) -> String {
    provider.process().unwrap().state().version
}

#[tokio::test]
async fn a_process_that_opens_late_does_not_replace_a_newer_one() {
    let mut scene = Scene::new("read -r go < gate");
    let provider = scene.open().await;
    scene.note_start("1").await;
    let process = provider.process().unwrap();
    let mut restart = pin!(process.restart());
    begin(restart.as_mut()).await;
    scene.note_start("2").await;
    let mut usage = pin!(provider.usage());
    begin(usage.as_mut()).await;
    process.reload().await.unwrap();
    scene.note_start("3").await;
    assert_eq!(version(&*provider), "3");
    scene.gate.write_all(b"go\n").await.unwrap();
    restart.await.unwrap();
    assert_eq!(version(&*provider), "3");
    // Who waited for the late one asks the newer one.
    assert_eq!(usage.await.unwrap().used, ByteCount(3));
    scene.note_end_of_second().await;
}

#[tokio::test]
async fn another_folder_is_refused_also_when_no_process_shows_the_first() {
    let scene = Scene::new("root=other");
    let provider = scene.open().await;
    let process = provider.process().unwrap();
    let refusal = process.restart().await.unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::Invalid);
    assert!(refusal.message.contains("another folder"), "{refusal}");
    assert_eq!(process.state().pid, None);
    process.restart().await.unwrap();
    assert_eq!(version(&*provider), "3");
}

#[tokio::test]
async fn a_process_that_is_not_taken_ends() {
    let mut scene = Scene::new("root=other");
    let provider = scene.open().await;
    let refusal = provider.process().unwrap().reload().await.unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::Invalid);
    scene.note_end_of_second().await;
    assert_eq!(version(&*provider), "1");
}

#[tokio::test]
async fn a_state_folder_that_is_no_text_keeps_nobody_waiting() {
    let scene = Scene::new(":");
    let state_dir = scene.path("").join(OsStr::from_bytes(b"\xff"));
    let refusal = scene.launch(&state_dir).open().await.err().unwrap();
    assert!(refusal.message.contains("UTF-8"), "{refusal}");
}

#[tokio::test]
async fn a_program_is_looked_at_before_every_start() {
    let scene = Scene::new(":");
    let provider = scene.open().await;
    let process = provider.process().unwrap();
    for (number, mode, reason) in [
        (1, 0o757, "can be changed by everybody"),
        (2, 0o644, "cannot be executed"),
    ] {
        scene.set_mode(mode);
        let refusal = process.reload().await.unwrap_err();
        assert!(refusal.message.contains(reason), "{refusal}");
        // The one before goes on.
        assert_eq!(provider.usage().await.unwrap().used, ByteCount(number));

        let refusal = process.restart().await.unwrap_err();
        assert!(refusal.message.contains(reason), "{refusal}");
        let refusal = provider.usage().await.unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Unavailable);
        assert!(refusal.message.contains(reason), "{refusal}");
        let state = process.state();
        assert_eq!(
            (state.pid, state.last_failure),
            (None, Some(refusal.message))
        );

        scene.set_mode(0o755);
        process.restart().await.unwrap();
    }
}
