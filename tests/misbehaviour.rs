//! What a plugin may do wrong, one thing a test: the other drive and all that is cached go on, who waits gets
//! an answer within the deadline, the status says what happened, and when it is over the drive works again.

#[path = "misbehaviour/kills.rs"]
mod kills;
#[path = "misbehaviour/lies.rs"]
mod lies;
#[path = "misbehaviour/misdeeds.rs"]
mod misdeeds;
#[path = "misbehaviour/replaced.rs"]
mod replaced;
#[path = "misbehaviour/scene.rs"]
mod scene;
#[path = "misbehaviour/storage.rs"]
mod storage;
