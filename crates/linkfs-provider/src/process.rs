use serde::Serialize;

use crate::{Result, async_trait};

/// The process that a provider runs in.
#[async_trait]
pub trait Process: Send + Sync {
    /// How it is. Answers from memory.
    fn state(&self) -> ProcessState;

    /// Ends it at once, which fails the calls that are under way, and starts a new one.
    ///
    /// # Errors
    /// Why the new one cannot be opened.
    async fn restart(&self) -> Result<()>;

    /// Starts the program as it is on disk now and gives it all further calls; the process before it ends
    /// when its last call is answered. When the new one cannot be opened, the old one stays.
    ///
    /// # Errors
    /// Why the new one cannot be opened.
    async fn reload(&self) -> Result<()>;
}

/// How a plugin's process is, as the status of a mount shows it too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessState {
    /// What the plugin calls itself.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// The program.
    pub program: String,
    /// The number of the running process; `None` while there is none.
    pub pid: Option<u32>,
    /// How often a process ended that should not have.
    pub failures: u64,
    /// Why the last of these ended.
    pub last_failure: Option<String>,
    /// What of its confinement this machine lacks.
    pub unconfined: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_it_by_these_names() {
        let state = ProcessState {
            name: "pds".to_owned(),
            version: "0.1.0".to_owned(),
            program: "/usr/bin/linkfs".to_owned(),
            pid: Some(7),
            failures: 1,
            last_failure: None,
            unconfined: vec!["control calls to devices".to_owned()],
        };
        let expected = r#"{"name":"pds","version":"0.1.0","program":"/usr/bin/linkfs","pid":7,"failures":1,"last_failure":null,"unconfined":["control calls to devices"]}"#;
        assert_eq!(serde_json::to_string(&state).unwrap(), expected);
    }
}
