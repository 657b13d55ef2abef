//! The mounts there are, and whether they answer.

use super::Line;
use crate::{mount_table, status};

pub(super) fn look() -> Vec<Line> {
    let what = "mounts";
    let mounts = match mount_table::ours() {
        Ok(mounts) => mounts,
        Err(error) => return vec![Line::problem(what, format!("{error:#}"), "mount /proc")],
    };
    if mounts.is_empty() {
        return vec![Line::ok(what, "none")];
    }
    let mounts = mounts.iter().map(status::listed);
    mounts.map(|mount| line(what, &mount)).collect()
}

fn line(what: &str, mount: &status::Listed) -> Line {
    let [folder, state, more] = status::row(mount);
    let found = format!("{folder} is {state}");
    match mount.state {
        "ok" | "private" => Line::ok(what, format!("{folder}: {more}")),
        _ => Line::problem(what, found, more),
    }
}
