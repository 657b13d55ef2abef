use std::error::Error;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Why a file is not run: its mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    path: PathBuf,
    /// What is wrong with it, and the change of its mode that mends it.
    flaw: &'static str,
    change: &'static str,
}

impl Unfit {
    /// What keeps the file at `path` from being run, of which `about` tells; `None` for one that may be.
    pub(crate) fn of(path: &Path, about: &Metadata) -> Option<Unfit> {
        let mode = about.permissions().mode();
        let (flaw, change) = match mode {
            // What everybody may write to is not run with somebody's tokens.
            _ if mode & 0o002 != 0 => ("can be changed by everybody", "o-w"),
            _ if mode & 0o111 == 0 => ("cannot be executed", "+x"),
            _ => return None,
        };
        Some(Unfit {
            path: path.to_owned(),
            flaw,
            change,
        })
    }

    /// The command that mends it.
    pub fn remedy(&self) -> String {
        format!("chmod {} {}", self.change, self.path.display())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unfit { path, flaw, change } = self;
        write!(f, "{} {flaw}: chmod {change} it", path.display())
    }
}

impl Error for Unfit {}
