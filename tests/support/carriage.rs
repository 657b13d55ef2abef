use std::env;

/// The environment variable that says where a run of the tests has its plugins.
const VARIABLE: &str = "LINKFS_TEST_CARRIAGE";

/// Where the plugins of the drives under test run. It is one for a whole run: what a test says, it says of
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Each in a process of its own, as drives have them unless they are told otherwise.
    Process,
    /// In the process that asks.
    InProcess,
}

impl Carriage {
    /// The one of this run.
    ///
    /// # Panics
    /// When the environment names one that is not known.
    #[track_caller]
    pub fn of_this_run() -> Carriage {
        match env::var(VARIABLE).as_deref() {
            Err(env::VarError::NotPresent) | Ok("process") => Carriage::Process,
            Ok("in-process") => Carriage::InProcess,
            other => panic!("{VARIABLE} is {other:?}, expected \"process\" or \"in-process\""),
        }
    }
}
