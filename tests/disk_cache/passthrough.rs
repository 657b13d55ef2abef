//! Complete files are read by the kernel itself, past the program.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

use linkfs_tests::{DriveKind, Mounted, eventually, linkfs_binary, run, within};

use crate::scene::{SIZE, Scene, attribute, await_verified, cached, garble};

/// The program stopped, and going on when this is dropped.
struct Stopped<'a>(&'a Mounted);

impl Stopped<'_> {
    fn stop(mount: &Mounted) -> Stopped<'_> {
        mount.signal(libc::SIGSTOP);
        Stopped(mount)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal(libc::SIGCONT);
    }
}

/// Reads an open file to its end while the program is stopped. Nothing but reading: `fstat` and `close` may ask
/// the program.
#[track_caller]
fn read_without_the_program(mount: &Mounted, file: &File) -> Vec<u8> {
    let stopped = Stopped::stop(mount);
    let file = file.try_clone().expect("a second descriptor");
    let read = move || {
        let mut bytes = vec![0; SIZE as usize + 1];
        let mut length = 0;
        while let more @ 1.. = file
            .read_at(&mut bytes[length..], length as u64)
            .expect("it reads")
        {
            length += more;
        }
        bytes.truncate(length);
        (bytes, file)
    };
    let (bytes, file) = within(Duration::from_secs(30), read);
    drop(stopped);
    drop(file);
    bytes
}

/// What the program holds of content in memory: nothing that was passed through.
fn bytes_in_memory(mount: &Mounted) -> u64 {
    let cached = &mount.status()["memory"]["cached_bytes"];
    cached.as_u64().expect("a number")
}

#[test]
fn a_complete_file_is_read_by_the_kernel_itself() {
    let scene = Scene::new(DriveKind::Pds);
    let mount = scene.mount();
    scene.read(&mount);
    await_verified(&mount.path("file.bin"));
    let mount = mount.mount_again();
    let file = File::open(mount.path("file.bin")).expect("it opens");
    assert!(read_without_the_program(&mount, &file) == scene.bytes);
    assert_eq!(bytes_in_memory(&mount), 0);
}

#[test]
fn a_file_that_was_open_when_it_became_complete_passes_through_later() {
    let scene = Scene::new(DriveKind::Pds);
    let mount = scene.mount();
    let path = mount.path("file.bin");
    let first = File::open(&path).expect("it opens");
    scene.read(&mount);
    await_verified(&path);
    // The first is read in the ordinary way, and so are the others as long as it is open.
    let second = File::open(&path).expect("it opens");
    for (file, offset) in [(&second, 0), (&first, 1 << 20)] {
        let mut bytes = [0; 5000];
        file.read_exact_at(&mut bytes, offset).expect("it reads");
        assert!(bytes[..] == scene.bytes[offset as usize..][..5000]);
    }
    // SAFETY: plain numbers, and a descriptor that is open.
    let dropped =
        unsafe { libc::posix_fadvise(first.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(dropped, 0);
    drop((first, second));
    eventually("both are closed", || mount.status()["open_handles"] == 0);
    let third = File::open(&path).expect("it opens");
    // And while it passes through, so does another.
    let fourth = File::open(&path).expect("it opens");
    assert!(read_without_the_program(&mount, &third) == scene.bytes);
    assert!(read_without_the_program(&mount, &fourth) == scene.bytes);
}

#[test]
fn what_the_drive_says_of_the_hash_decides() {
    for (kind, is_wrong, verified) in [
        (DriveKind::Pds, false, "yes"),
        (DriveKind::Pds, true, "no"),
        (DriveKind::KooDrive, false, "unknown"),
    ] {
        let scene = Scene::with(kind, SIZE, |setup| match is_wrong {
            true => setup.knob("hashes_are_wrong", true),
            false => setup,
        });
        let mount = scene.mount();
        let path = mount.path("file.bin");
        assert_eq!(attribute(&path, "verified").as_deref(), Some("unknown"));
        scene.read(&mount);
        eventually("it is verified", || {
            attribute(&path, "verified").as_deref() == Some(verified)
        });
        let mount = mount.mount_again_after(|_home| scene.emulator.counters().reset());
        assert_eq!(attribute(&path, "verified").as_deref(), Some(verified));
        if verified == "unknown" {
            continue;
        }
        scene.read(&mount);
        assert_eq!(scene.data_requests(), 0, "{verified}");
        let in_memory = bytes_in_memory(&mount);
        // Read past us, or by us: a hash that is wrong is no error, and no reason to trust the bytes.
        assert_eq!(in_memory == 0, verified == "yes", "{verified}: {in_memory}");
    }
}

/// Somebody changes a byte of a file that was verified.
#[test]
fn a_file_changed_since_it_was_verified_is_not_passed_through() {
    let scene = Scene::new(DriveKind::Pds);
    let mount = scene.mount();
    scene.read(&mount);
    await_verified(&mount.path("file.bin"));
    let mount = mount.mount_again_after(|home| {
        garble(&crate::scene::data_file(home), 5);
    });
    scene.read(&mount);
    assert!(bytes_in_memory(&mount) > 0);
    assert_eq!(mount.status()["disk"]["quarantined"], 1);
    await_verified(&mount.path("file.bin"));
}

/// A user's mount, for which the kernel refuses to read files by itself.
#[test]
fn without_the_right_a_cached_file_is_read_the_ordinary_way() {
    const NOBODY: u32 = 65534;
    let scene = Scene::new(DriveKind::Pds);
    let home = linkfs_tests::Home::new();
    home.configure(&scene.builder().config());
    let binary = home.path().join("linkfs");
    fs::copy(linkfs_binary(), &binary).expect("the program is copied");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("its mode is set");
    fs::create_dir(home.path().join("drive")).expect("a folder");
    fs::create_dir(home.path().join("tmp")).expect("a folder");
    for name in ["", "drive", "tmp", "config.toml"] {
        chown(home.path().join(name), Some(NOBODY), Some(NOBODY)).expect("it is given");
    }
    let script = r#"
        home=$1 linkfs=$2 drive=$1/drive
        mknod "$home/fuse" c 10 229
        chmod 666 "$home/fuse"
        mount --bind "$home/fuse" /dev/fuse
        trap 'umount -l -q "$drive" || true' EXIT
        user='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all'
        for round in 1 2; do
            $user "$linkfs" mount work "$drive"
            $user sha1sum "$drive/file.bin"
            until [ "$($user getfattr --only-values -n user.linkfs.verified "$drive/file.bin")" = yes ]; do :; done
            $user sha1sum "$drive/file.bin"
            $user "$linkfs" unmount "$drive"
        done
    "#;
    let mut command = Command::new("timeout");
    home.furnish(&mut command);
    command
        .args(["60", "unshare", "--mount", "--propagation", "private"])
        .args(["bash", "-ec", script, "bash"])
        .arg(home.path())
        .arg(binary)
        .env("TMPDIR", home.path().join("tmp"));
    let said = run(&mut command).success();
    let sums: Vec<&str> = said.lines().collect();
    let plain = home.path().join("plain");
    fs::write(&plain, &scene.bytes).expect("written");
    let right = run(Command::new("sha1sum").arg(&plain));
    let right = right.success().replace("/plain", "/drive/file.bin");
    assert_eq!(sums, [right.trim_end(); 4]);
    assert_eq!(cached(&home, "data").len(), 1);
    assert!(
        scene.bytes_asked_for() <= SIZE,
        "the second mount fetched again"
    );
}
