//! Which files, ports and processes a confined process reaches, as a Landlock ruleset.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath,
    RestrictSelf, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
    make_bitflags, path_beneath_rules,
};

/// Programs and libraries, which everyone may read.
const SYSTEM: [&str; 5] = ["/usr", "/lib", "/lib64", "/bin", "/nix/store"];

/// What a C library, a library for TLS and Python read. Certificates, never the folders of private
/// keys beside them: started by root, a plugin is the owner of those.
const SETTINGS: [&str; 18] = [
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/resolv.conf",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

const DEVICES: [&str; 3] = ["/dev/random", "/dev/urandom", "/dev/zero"];

/// Makes, changes and removes files and folders. Neither links nor pipes nor devices: whoever looks
/// into the folder from outside must find nothing that leads him elsewhere.
const CHANGES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    WriteFile | RemoveDir | RemoveFile | MakeDir | MakeReg | Refer | Truncate
});

/// What one process may reach.
#[derive(Debug)]
pub(super) struct Access<'a> {
    pub(super) program: &'a File,
    /// What `program` interprets.
    pub(super) script: Option<&'a File>,
    pub(super) readable: Vec<PathBuf>,
    pub(super) state_dir: &'a Path,
    /// The one TCP port that it may connect to.
    pub(super) port: Option<u16>,
}

/// What the running kernel knows of Landlock.
pub(super) fn kernel_abi() -> ABI {
    // Nothing is restricted here: without flags, only the question is asked.
    let status = RestrictSelf::default().no_new_privs(false).apply();
    match status.map(|status| status.landlock) {
        Ok(LandlockStatus::Available { effective_abi, .. }) => effective_abi,
        Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) | Err(_) => {
            ABI::Unsupported
        }
    }
}

impl Access<'_> {
    /// The rules, with all that `abi` can express; `None` when there is nothing to express them in.
    pub(super) fn ruleset(&self, abi: ABI) -> io::Result<Option<OwnedFd>> {
        if abi == ABI::Unsupported {
            return Ok(None);
        }
        let ruleset = self.build(abi).map_err(io::Error::other)?;
        Ok(ruleset.into())
    }

    fn build(&self, abi: ABI) -> Result<RulesetCreated, RulesetError> {
        let files = AccessFs::from_all(abi);
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let run = make_bitflags!(AccessFs::{ReadFile | Execute});
        let script = self
            .script
            .map(|script| PathBeneath::new(script, AccessFs::ReadFile));
        let rules = restrictions(abi)?
            .create()?
            .add_rule(PathBeneath::new(self.program, run & files))?
            .add_rules(script.map(Ok::<_, RulesetError>))?
            .add_rules(path_beneath_rules(SYSTEM, read | AccessFs::Execute))?
            .add_rules(path_beneath_rules(SETTINGS, read))?
            .add_rules(path_beneath_rules(python_settings(), read))?
            .add_rules(path_beneath_rules(&self.readable, read))?
            .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(
                ["/dev/null"],
                AccessFs::ReadFile | AccessFs::WriteFile,
            ))?
            .add_rules(path_beneath_rules(
                [self.state_dir],
                (read | CHANGES) & files,
            ))?;
        match self.port {
            Some(port) if abi >= ABI::V4 => {
                rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))
            }
            _ => Ok(rules),
        }
    }
}

/// Everything that `abi` can refuse is refused unless a rule allows it.
fn restrictions(abi: ABI) -> Result<Ruleset, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(abi))?;
    if abi >= ABI::V4 {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    Ok(ruleset)
}

/// Debian keeps a file that Python always reads in a folder with the version in its name.
fn python_settings() -> Vec<PathBuf> {
    let entries = fs::read_dir("/etc").into_iter().flatten().flatten();
    let of_python =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"python3"));
    of_python.map(|entry| entry.path()).collect()
}
