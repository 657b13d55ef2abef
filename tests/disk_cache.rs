//! File content kept on disk from one mount to the next: what it saves, what it survives, and what is kept for
//! good.

#[path = "disk_cache/damage.rs"]
mod damage;
#[path = "disk_cache/keeping.rs"]
mod keeping;
#[path = "disk_cache/passthrough.rs"]
mod passthrough;
#[path = "disk_cache/pinning.rs"]
mod pinning;
#[path = "disk_cache/scene.rs"]
mod scene;
