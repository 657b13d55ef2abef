//! Sharing on every drive: by attributes, by commands, by the script of the README, for many files, and opening
//! what others shared. What the drive has is asked of the drive, past the mount.

#[path = "sharing_everywhere/attributes.rs"]
mod attributes;
#[path = "sharing_everywhere/bulk.rs"]
mod bulk;
#[path = "sharing_everywhere/commands.rs"]
mod commands;
#[path = "sharing_everywhere/received.rs"]
mod received;
#[path = "sharing_everywhere/scene.rs"]
mod scene;
#[path = "sharing_everywhere/script.rs"]
mod script;
