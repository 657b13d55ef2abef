//! How many files a process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit to what the system allows: each open file of a mount takes two descriptors where content
/// is cached on disk, and the usual limit of 1024 is for programs that wait with `select`.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::info!(%error, "the limit of open files stays as it is");
    }
}
