//! What the tests of the whole are written with: an emulated cloud, the built program mounting it, and
//! the tools that people use on a mount.
//!
//! The program under test is the real one, run as its users run it; nothing of it is linked in here. It
//! must have been built: `scripts/test` does that.

mod app_key;
mod carriage;
mod control_group;
mod drives;
mod foreground;
mod mounted;
mod outcomes;
mod program;
mod tools;

pub use app_key::AppKey;
pub use carriage::Carriage;
pub use control_group::ControlGroup;
pub use drives::{DriveKind, DriveSetup};
pub use foreground::Foreground;
pub use mounted::{MountBuilder, Mounted, is_mounted};
pub use outcomes::{assert_at_rest, errno, is_at_rest, read_all, true_bytes, within};
pub use program::{Home, drive_section, linkfs_binary};
pub use tools::{Outcome, eventually, read_and_forget, run, run_with, shell};

use linkfs_emulator::{ROOT_ID, Tree};

/// A tree with one generated file at the top; its id is given back.
pub fn tree_with_file(name: &str, seed: u64, size: u64) -> (Tree, String) {
    let tree = Tree::new();
    let id = tree.add_generated(ROOT_ID, name, seed, size);
    (tree, id)
}

/// The length of `count` MiB in bytes.
pub const fn mib(count: u64) -> u64 {
    count << 20
}
