use linkfs_provider::{ItemId, Result};
use linkfs_provider_http::path;
use serde_json::Value;

use crate::client::Call;

/// The id of a space's own top folder. It can be listed, and nothing else can be asked of it.
pub(crate) const TOP: &str = "0";

/// What is mounted, and as whom.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) id: String,
    pub(crate) root: ItemId,
    /// Calls run with this person's rights.
    pub(crate) union_id: String,
}

impl Space {
    /// A GET of `tail` below the space.
    ///
    /// # Errors
    /// `Invalid` for a space id that cannot stand in a path.
    pub(crate) fn get(&self, name: &'static str, tail: &str) -> Result<Call> {
        Ok(self.as_operator(Call::get(name, self.path(tail)?)))
    }

    /// A POST to `tail` of one of the space's dentries.
    ///
    /// # Errors
    /// `Invalid` for ids that cannot stand in a path.
    pub(crate) fn post_dentry(
        &self,
        name: &'static str,
        dentry: &ItemId,
        tail: &str,
        body: &Value,
    ) -> Result<Call> {
        let dentry = path::segment(dentry.as_str())?;
        let path = self.path(&format!("/dentries/{dentry}{tail}"))?;
        Ok(self.as_operator(Call::post(name, path, body)))
    }

    fn path(&self, tail: &str) -> Result<String> {
        let space = path::segment(&self.id)?;
        Ok(format!("/v1.0/storage/spaces/{space}{tail}"))
    }

    /// `call` with the rights of this person.
    pub(crate) fn as_operator(&self, call: Call) -> Call {
        call.with_query("unionId", &self.union_id)
    }
}
