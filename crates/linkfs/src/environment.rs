//! Secrets from the environment, kept out of `/proc/PID/environ`.
//!
//! What stands in the environment at `exec` can be read there for as long as the process lives. So a
//! command that stays is started anew without those variables; their values come with it in a memfd,
//! which is read and closed before anything else happens.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use linkfs_provider::Secret;
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;

/// Marks the process that [`crate::background`] starts.
pub(crate) const BACKGROUND: &str = "LINKFS_BACKGROUND";

/// Names the inherited descriptor.
const HANDOVER: &str = "LINKFS_SECRETS_FD";
const MEMFD_NAME: &str = "linkfs-secrets";

/// The environment variables that a configuration may refer to.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    handed_over: BTreeMap<String, Secret<String>>,
}

impl Environment {
    /// Takes what the process before us left. To be called once, first thing in `main`.
    pub(crate) fn take() -> Result<Environment> {
        let Some(memfd) = inherited() else {
            return Ok(Environment::default());
        };
        let mut text = Vec::new();
        File::from(memfd)
            .read_to_end(&mut text)
            .context("cannot read the secrets handed over")?;
        let Ok(handed_over) = serde_json::from_slice(&text) else {
            bail!("the secrets handed over by the starting process are damaged");
        };
        Ok(Environment { handed_over })
    }

    /// The value of the variable `name`, `None` when it is not set.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Secret<String>>> {
        if let Some(value) = self.handed_over.get(name) {
            return Ok(Some(value.clone()));
        }
        match env::var(name) {
            Ok(value) => Ok(Some(Secret::new(value))),
            Err(env::VarError::NotPresent) => Ok(None),
            // The error's own text would show the value.
            Err(env::VarError::NotUnicode(_)) => {
                bail!("the environment variable {name} is not UTF-8 text")
            }
        }
    }

    /// When a variable of `names` stands in this process's environment, replaces the process by
    /// itself without them. Returns when there is none.
    pub(crate) fn hide(&self, names: &BTreeSet<&str>) -> Result<()> {
        if !names.iter().any(|name| env::var_os(name).is_some()) {
            return Ok(());
        }
        let mut command = ourselves()?;
        let _memfd = self.hand_over(names, &mut command)?;
        Err(command.exec()).context("cannot start again without secrets in the environment")
    }

    /// Lets `command` start without the variables `names` in its environment and gives it their
    /// values. The descriptor must stay open until it has started.
    pub(crate) fn hand_over(
        &self,
        names: &BTreeSet<&str>,
        command: &mut Command,
    ) -> Result<Option<OwnedFd>> {
        let mut values = BTreeMap::new();
        for name in names {
            if let Some(value) = self.get(name)? {
                values.insert(*name, value);
            }
            command.env_remove(name);
        }
        if values.is_empty() {
            return Ok(None);
        }
        let exposed: BTreeMap<_, _> = values
            .iter()
            .map(|(name, value)| (name, value.expose()))
            .collect();
        let memfd = memfd(&serde_json::to_vec(&exposed)?).context("cannot hand secrets over")?;
        command.env(HANDOVER, memfd.as_raw_fd().to_string());
        Ok(Some(memfd))
    }

    #[cfg(test)]
    pub(crate) fn with(name: &str, value: &str) -> Environment {
        let value = Secret::new(value.to_owned());
        Environment {
            handed_over: BTreeMap::from([(name.to_owned(), value)]),
        }
    }
}

/// Keeps what one process of ours tells the next from going further.
pub(crate) fn forget_handover(command: &mut Command) {
    command.env_remove(HANDOVER).env_remove(BACKGROUND);
}

/// This program with the arguments it was started with.
pub(crate) fn ourselves() -> Result<Command> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    let mut arguments = env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    forget_handover(&mut command);
    Ok(command)
}

fn inherited() -> Option<OwnedFd> {
    let number: RawFd = env::var(HANDOVER).ok()?.parse().ok()?;
    let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    // The variable may have come down to us from elsewhere: then the number means another file.
    if !target
        .to_str()?
        .starts_with(&format!("/memfd:{MEMFD_NAME}"))
    {
        return None;
    }
    // SAFETY: the descriptor is open and a memfd of this name is made by `hand_over` alone, for the
    // process that reads the variable; nothing else in this process knows the number.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A memfd that holds `text`, survives `exec` and is read from its start.
fn memfd(text: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create(MEMFD_NAME, MemfdFlags::empty())?);
    file.write_all(text)?;
    file.rewind()?;
    rustix::io::fcntl_setfd(&file, FdFlags::empty())?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real child shows of its environment, and what it gets from the memfd.
    fn child(script: &str) -> String {
        let environment = Environment::with("T_TOKEN", "s3cret");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .env("T_TOKEN", "s3cret")
            .env("T_OTHER", "kept");
        let names = BTreeSet::from(["T_TOKEN", "T_UNSET"]);
        let memfd = environment.hand_over(&names, &mut command).unwrap();
        let output = command.output().unwrap();
        drop(memfd);
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_secret_leaves_the_environment_and_comes_by_memfd() {
        let environment = child("cat /proc/self/environ");
        assert!(environment.contains("T_OTHER=kept"), "{environment}");
        assert!(!environment.contains("s3cret"), "{environment}");
        let handed_over = child("cat /proc/self/fd/$LINKFS_SECRETS_FD");
        assert_eq!(handed_over, r#"{"T_TOKEN":"s3cret"}"#);
    }

    #[test]
    fn nothing_is_handed_over_when_nothing_is_set() {
        let mut command = Command::new("true");
        let names = BTreeSet::from(["T_NO_SUCH_VARIABLE"]);
        let memfd = Environment::default()
            .hand_over(&names, &mut command)
            .unwrap();
        assert!(memfd.is_none());
    }
}
