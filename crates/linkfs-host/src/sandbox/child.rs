//! From the fork to the program's first instruction.
//!
//! Another thread of the host may hold any lock when the fork happens. So everything that takes
//! memory is made before it, and the child makes calls of the kernel alone.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType};

use super::Program;
use super::calls::Filter;
use crate::Network;

/// More than an HTTP client with all its connections needs.
const MOST_DESCRIPTORS: u64 = 256;
/// Addresses, most of which a runtime reserves and never uses.
const MOST_MEMORY: u64 = 1 << 30;
/// A plugin stores logins and lists, not content.
const LARGEST_FILE: u64 = 64 << 20;
/// Where the number of a user's processes is not limited; enough for what else that user runs.
const MOST_PROCESSES: u64 = 4096;

/// Starts `program` with `environment` alone, in `network`, under `ruleset` and the filter of calls.
pub(super) fn spawn(
    program: &Program,
    environment: Vec<CString>,
    network: Option<Network>,
    ruleset: Option<OwnedFd>,
) -> io::Result<Child> {
    // Above every number that the program can ever have: the filter knows this one `exec` by it.
    let most_descriptors = most_descriptors();
    let executable = rustix::io::fcntl_dupfd_cloexec(&program.file, most_descriptors as RawFd)?;
    let mut start = Start {
        filter: Filter::new(executable.as_raw_fd())?,
        executable,
        network,
        ruleset,
        arguments: Strings::new(program.arguments.clone()),
        environment: Strings::new(environment),
        host: rustix::process::getpid(),
        most_descriptors,
        most_processes: most_processes(),
    };
    // The name is not used: `Start::run` executes the open file.
    let mut command = Command::new("linkfs-plugin");
    command
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: `Start::run` makes system calls only; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(move || Err(start.run())) };
    command.spawn()
}

/// All that the child needs, made before the fork.
struct Start {
    executable: OwnedFd,
    network: Option<Network>,
    ruleset: Option<OwnedFd>,
    filter: Option<Filter>,
    arguments: Strings,
    environment: Strings,
    host: Pid,
    most_descriptors: u64,
    most_processes: u64,
}

impl Start {
    /// Becomes the program. Returns only when something went wrong.
    fn run(&mut self) -> io::Error {
        match self.confine() {
            Ok(()) => self.execute(),
            Err(error) => error,
        }
    }

    fn confine(&mut self) -> io::Result<()> {
        // A Ctrl-C in the host's terminal is the host's affair: it ends its plugins itself.
        rustix::process::setsid()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        close_on_exec()?;
        if let Some(network) = &self.network {
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(network.namespace(), kind)?;
        }
        drop_capabilities()?;
        rustix::thread::set_no_new_privs(true)?;
        limit(Resource::Nofile, self.most_descriptors)?;
        limit(Resource::As, MOST_MEMORY)?;
        limit(Resource::Fsize, LARGEST_FILE)?;
        limit(Resource::Core, 0)?;
        limit(Resource::Nproc, self.most_processes)?;
        // After the capabilities: the kernel forgets it when a process's rights change.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(self.host) {
            // It ended before it could be told of.
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        if let Some(ruleset) = &self.ruleset {
            restrict(ruleset)?;
        }
        match &mut self.filter {
            Some(filter) => filter.apply(),
            None => Ok(()),
        }
    }

    fn execute(&self) -> io::Error {
        // SAFETY: both lists end with a null pointer and live until the call returns, if it does.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.executable.as_raw_fd(),
                c"".as_ptr(),
                self.arguments.pointers.as_ptr(),
                self.environment.pointers.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        io::Error::last_os_error()
    }
}

/// A list of strings as `exec` takes it.
struct Strings {
    pointers: Vec<*const c_char>,
    /// What the pointers point to.
    _owned: Vec<CString>,
}

// SAFETY: the pointers lead into the strings beside them, which nobody changes.
unsafe impl Send for Strings {}
// SAFETY: as above.
unsafe impl Sync for Strings {}

impl Strings {
    fn new(owned: Vec<CString>) -> Strings {
        let pointers = owned.iter().map(|string| string.as_ptr());
        Strings {
            pointers: pointers.chain([ptr::null()]).collect(),
            _owned: owned,
        }
    }
}

/// Has all descriptors but the three closed at `exec`: the standard library reports a failed start
/// by one of them until then.
fn close_on_exec() -> io::Result<()> {
    // SAFETY: changes descriptors of this process, which has no other thread, and no memory.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if done == 0 {
        return Ok(());
    }
    let last = rustix::process::getrlimit(Resource::Nofile).current;
    for number in 3..last.unwrap_or(1 << 20) {
        // SAFETY: sets a flag of a descriptor of this process, or fails where none is open.
        unsafe { libc::fcntl(number as RawFd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Gives up what root may do, for good.
fn drop_capabilities() -> io::Result<()> {
    for number in 0..u64::BITS {
        // Refused to those who have none, and for numbers that the kernel does not know.
        let _has_none = rustix::thread::remove_capability_from_bounding_set(
            CapabilitySet::from_bits_retain(1 << number),
        );
    }
    // Kernels before 4.3 have no such set.
    let _has_none = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, none)?)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let hard = rustix::process::getrlimit(resource).maximum;
    let most = Some(hard.map_or(most, |hard| hard.min(most)));
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// Half of what this process may have itself, where that is little: the numbers above are for the one `exec`.
fn most_descriptors() -> u64 {
    let ours = rustix::process::getrlimit(Resource::Nofile).current;
    ours.map_or(MOST_DESCRIPTORS, |ours| MOST_DESCRIPTORS.min(ours / 2))
}

/// The kernel counts all threads of the user, not this program's. A quarter of what the user may
/// have leaves the rest to others.
fn most_processes() -> u64 {
    let hard = rustix::process::getrlimit(Resource::Nproc).maximum;
    hard.map_or(MOST_PROCESSES, |hard| MOST_PROCESSES.max(hard / 4))
}

fn restrict(ruleset: &OwnedFd) -> io::Result<()> {
    // SAFETY: restricts this process by an open ruleset; touches no memory.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if done == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
