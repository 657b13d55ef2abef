use crate::{Result, async_trait};

/// Telling which spaces an account can open. The word for one differs: space, drive, team folder.
#[async_trait]
pub trait Spaces: Send + Sync {
    /// Every space of the account, for a person who wants to know what to write into the
    /// configuration. Asks as often as the drive has pages.
    ///
    /// # Errors
    /// Whatever the drive says.
    async fn spaces(&self) -> Result<Vec<Space>>;
}

/// What an account can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// What the configuration names it by.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whose it is.
    pub kind: SpaceKind,
}

/// Whose a space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceKind {
    /// The account's own.
    Personal,
    /// A group's, a department's, a whole organization's.
    Team,
}
