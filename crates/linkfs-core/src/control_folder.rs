//! `.linkfs`, the control folder: reachable by name at the top of the mount, never listed there, so that
//! `cp -r` and `find` do not walk into it.

use std::sync::Arc;

use crate::node::{Node, NodeId, What};

/// Its name.
pub(crate) const NAME: &str = ".linkfs";

/// The folder, and what is always in it.
pub(crate) fn nodes() -> Vec<Arc<Node>> {
    let folder = Node::new(NodeId::CONTROL, NodeId::ROOT, NAME, What::Control);
    std::iter::once(folder).chain(inside()).collect()
}

/// What is always in the folder.
pub(crate) fn inside() -> Vec<Arc<Node>> {
    let inside = [
        (NodeId::CONSOLE, "control", What::Console),
        (NodeId::METRICS, "metrics", What::Metrics),
        (NodeId::SHARES, "shares", What::Shares),
        (NodeId::STATUS, "status", What::Status),
        (NodeId::TASKS, "tasks", What::Tasks),
    ];
    let inside = inside.into_iter();
    inside
        .map(|(id, name, what)| Node::new(id, NodeId::CONTROL, name, what))
        .collect()
}
