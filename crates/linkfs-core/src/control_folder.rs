//! `.linkfs`, the control folder: reachable by name at the top of the mount, never listed there, so that
//! `cp -r` and `find` do not walk into it.

use std::sync::Arc;

use crate::node::{Node, NodeId, What};

/// Its name.
pub(crate) const NAME: &str = ".linkfs";

/// The folder and what is always in it.
pub(crate) fn nodes() -> [Arc<Node>; 3] {
    [
        Node::new(NodeId::CONTROL, NodeId::ROOT, NAME, What::Control),
        Node::new(NodeId::STATUS, NodeId::CONTROL, "status", What::Status),
        Node::new(NodeId::SHARES, NodeId::CONTROL, "shares", What::Shares),
    ]
}
