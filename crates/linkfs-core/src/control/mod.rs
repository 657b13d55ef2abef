//! `.linkfs/control`: one command a line, each answered on the handle that it was written to.
//!
//! A line goes through `command` (what it asks for) -> [`crate::Volume`] (which does it) -> `console` (the answer
//! that waits to be read).

mod command;
mod console;
mod metrics;

pub(crate) use command::{Command, HELP, TakeShare, misread_path};
pub(crate) use console::Console;
pub(crate) use metrics::metrics;
