use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::{fs, io};

use linkfs_emulator::{EmulatedDrive, Tree};
use serde_json::Value;

use crate::mounted::Mounted;
use crate::tools::eventually;

/// Runs `work` on a thread of its own and gives what it gives.
///
/// # Panics
/// When it takes longer than `limit`: it hangs. Or when it panics.
#[track_caller]
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it still runs after {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it panicked"),
    }
}

/// The error number of a failed call.
///
/// # Errors
/// That number.
pub fn errno<T>(result: io::Result<T>) -> Result<T, i32> {
    result.map_err(|error| error.raw_os_error().expect("the system's own error"))
}

/// All bytes of a file.
///
/// # Errors
/// The error number of the first call that failed.
pub fn read_all(path: &Path) -> Result<Vec<u8>, i32> {
    errno(fs::read(path))
}

/// All bytes that a file of the drive has.
///
/// # Panics
/// When the drive has no such file.
#[track_caller]
pub fn true_bytes(tree: &Tree, id: &str) -> Vec<u8> {
    let size = tree.node(id).expect("the drive has the file").size();
    let bytes = tree.read(id, 0, size as usize);
    bytes.expect("its bytes are known").into()
}

/// Whether a mount that says `status` has nothing open and nothing under way.
pub fn is_at_rest(status: &Value) -> bool {
    let memory = &status["memory"];
    let gauges = [
        &status["open_handles"],
        &memory["pending_bytes"],
        &memory["reads_bytes"],
    ];
    gauges.map(Value::as_u64) == [Some(0); 3]
}

/// Checks that nothing is left of what was read: no open handle, no block that nobody fetches. And that
/// the drive saw nothing that no client may do.
///
/// # Panics
/// When something is.
#[track_caller]
pub fn assert_at_rest(emulator: &dyn EmulatedDrive, mount: &Mounted) {
    eventually("all is closed and fetched", || is_at_rest(&mount.status()));
    let counts = emulator.counters().snapshot();
    assert!(counts.violations.is_empty(), "{:?}", counts.violations);
    assert_eq!(counts.bad_signatures, 0);
}
