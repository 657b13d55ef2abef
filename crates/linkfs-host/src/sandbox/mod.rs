//! Confines a plugin's process: what it may open, whom it may talk to, which calls of the kernel it
//! may make, how much it may use.
//!
//! A plugin holds the login of one drive, and reads answers that the drive and whoever shares with
//! it made up. So it gets what answering for that drive takes, and nothing more:
//!
//! | what | how |
//! | --- | --- |
//! | files | reads its own program, system libraries and certificates; writes in its `state_dir` (Landlock) |
//! | network | TCP to the port of its own [proxy](crate::proxy), which knows the drive's hosts (Landlock), in a network where nothing else is (a namespace, for root alone); no other kind of socket, no incoming connection (seccomp) |
//! | processes | starts none, and signals, traces and reprioritises no other (seccomp, Landlock) |
//! | kernel | no mounts, namespaces, keys, tracing, `io_uring`; no attributes, modes or owners by path (seccomp) |
//! | environment | a few names; working directory `/`; three descriptors; a session of its own |
//! | amounts | 1 GiB of addresses, 256 descriptors, 64 MiB a file, no core files; ends with its host |
//!
//! # What holds on which kernel
//!
//! Everything that the kernel has is used; [`missing_pieces`] names the rest.
//!
//! | kernel | Landlock | what holds from there on |
//! | --- | --- | --- |
//! | any | - | environment, descriptors, session, limits, no capabilities, no new privileges, death with the host |
//! | any with seccomp, x86-64 and 64-bit ARM | - | one `exec`, no further process, TCP sockets alone, no incoming connection, no signals to others, no attributes or modes by path, none of the calls above |
//! | 5.13 | 1 | reading, writing, making and removing files |
//! | 5.19 | 2 | as before; files move between folders of `state_dir` |
//! | 6.2 | 3 | truncating files while opening them (by path: seccomp, always) |
//! | 6.7 | 4 | TCP connections: none but to the proxy's port |
//! | 6.10 | 5 | control calls to devices |
//! | 6.12 | 6 | signals by whatever way, abstract Unix sockets (both by seccomp before) |
//! | 6.15 | 7 | as before; refusals can be logged |
//!
//! What does not hold anywhere: a plugin that guesses a path learns whether it exists and how large
//! it is. Landlock knows ports, not addresses: without a network of its own a plugin can connect to
//! the proxy's port number on other machines as well, and before ABI 4 to any TCP address. Before
//! ABI 1 it can open what its user can, and a script that is put in the place of the one that was looked at
//! is what its interpreter finds.

mod access;
mod calls;
mod child;
mod missing;
mod program;
mod unfit;

use std::env;
use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Child;

use landlock::ABI;

pub use missing::missing_pieces;
pub use program::Program;
pub use unfit::Unfit;

use crate::proxy::ProxyAddress;

/// Where a plugin finds programs. It cannot start one; this is where its interpreter is looked for.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where a library for TLS is told to look for certificates.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What one plugin process may touch.
#[derive(Debug)]
pub struct Sandbox {
    program: Program,
    state_dir: PathBuf,
    proxy: Option<ProxyAddress>,
    landlock: ABI,
}

impl Sandbox {
    /// For `program`, which may write in `state_dir` and reach hosts through `proxy`; without one it
    /// reaches nobody.
    pub fn new(program: Program, state_dir: &Path, proxy: Option<ProxyAddress>) -> Sandbox {
        Sandbox {
            program,
            state_dir: state_dir.to_owned(),
            proxy,
            landlock: access::kernel_abi(),
        }
    }

    /// As on a kernel that knows Landlock up to ABI `newest`, 0 for not at all: how tests see what
    /// is left there.
    #[must_use]
    pub fn with_landlock_up_to(mut self, newest: i32) -> Sandbox {
        self.landlock = self.landlock.min(ABI::from(newest));
        self
    }

    /// Starts the program, with pipes for its input, output and errors.
    ///
    /// It is killed when the thread that calls this ends: one that lives as long as the host has to.
    ///
    /// # Errors
    /// What the kernel says to any step up to the program's first instruction.
    pub fn spawn(&self) -> io::Result<Child> {
        make_private(&self.state_dir)?;
        let access = access::Access {
            program: &self.program.file,
            script: self.program.script.as_ref(),
            readable: certificates().collect(),
            state_dir: &self.state_dir,
            port: self.proxy.as_ref().map(|proxy| proxy.port),
        };
        let ruleset = access.ruleset(self.landlock)?;
        let network = self.proxy.as_ref().and_then(|proxy| proxy.network.clone());
        child::spawn(&self.program, self.environment()?, network, ruleset)
    }

    /// All that the program finds in its environment.
    fn environment(&self) -> io::Result<Vec<CString>> {
        let mut values: Vec<(&str, OsString)> = vec![
            ("LANG", "C.UTF-8".into()),
            ("PATH", SEARCH_PATH.into()),
            ("TMPDIR", self.state_dir.clone().into()),
        ];
        for name in CERTIFICATE_VARIABLES {
            values.extend(env::var_os(name).map(|value| (name, value)));
        }
        if let Some(proxy) = &self.proxy {
            let url = proxy.url();
            for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
                values.push((name, url.expose().into()));
            }
        }
        let lines = values.into_iter().map(|(name, value)| {
            let line = [name.as_bytes(), b"=", &value.into_vec()].concat();
            CString::new(line).map_err(io::Error::from)
        });
        lines.collect()
    }
}

fn certificates() -> impl Iterator<Item = PathBuf> {
    let values = CERTIFICATE_VARIABLES.into_iter().filter_map(env::var_os);
    // Several folders may be named, as on a search path.
    values.flat_map(|value| env::split_paths(&value).collect::<Vec<_>>())
}

/// Makes the folder, for its owner's eyes alone also if it was there before.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}
