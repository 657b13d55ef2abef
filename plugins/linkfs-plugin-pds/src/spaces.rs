use std::sync::Arc;

use linkfs_provider::{
    ErrorKind, PageToken, ProviderError, Result, Space, SpaceKind, Spaces, async_trait,
};
use linkfs_provider_http::value;
use serde_json::{Map, Value, json};
use tracing::debug;

use crate::account::Account;
use crate::client::Call;
use crate::listing;

const MINE: &str = "/v2/drive/list_my_drives";
const OF_MY_GROUPS: &str = "/v2/drive/list_my_group_drive";

/// The drives that the account may open.
#[derive(Debug)]
pub(crate) struct PdsSpaces(pub(crate) Arc<Account>);

impl PdsSpaces {
    async fn all(&self, path: &'static str) -> Result<Vec<Space>> {
        let mut spaces: Vec<Space> = Vec::new();
        let mut after: Option<PageToken> = None;
        loop {
            let mut body = json!({"limit": listing::PAGE_SIZE});
            if let Some(after) = &after {
                body["marker"] = json!(after.0);
            }
            let answer = self.0.call(&Call::json(path, &body)).await?;
            for space in read(&answer)? {
                if spaces.iter().all(|known| known.id != space.id) {
                    spaces.push(space);
                }
            }
            after = match listing::next(&answer, after.as_ref())? {
                Some(next) => Some(next),
                None => return Ok(spaces),
            };
        }
    }
}

#[async_trait]
impl Spaces for PdsSpaces {
    async fn spaces(&self) -> Result<Vec<Space>> {
        let during = |error: ProviderError| error.during("list the account's drives");
        let mut spaces = self.all(MINE).await.map_err(during)?;
        match self.all(OF_MY_GROUPS).await {
            Ok(others) => spaces.extend(others),
            // A domain without groups has no such drives to tell of.
            Err(error) if is_without_groups(error.kind) => debug!(%error, "no drives of groups"),
            Err(error) => return Err(during(error)),
        }
        Ok(spaces)
    }
}

fn is_without_groups(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid
    )
}

fn read(answer: &Map<String, Value>) -> Result<Vec<Space>> {
    let top = answer.get("root_group_drive").and_then(Value::as_object);
    let drives = listing::elements(answer)?;
    Ok(top.into_iter().chain(drives).filter_map(space).collect())
}

fn space(drive: &Map<String, Value>) -> Option<Space> {
    let id = value::text_of(drive, "drive_id")?;
    let kind = match value::text_of(drive, "owner_type").as_deref() {
        Some("group") => SpaceKind::Team,
        _ => SpaceKind::Personal,
    };
    Some(Space {
        name: value::text_of(drive, "drive_name").unwrap_or_else(|| id.clone()),
        id,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_of_groups_are_team_spaces() {
        let answer = json!({"items": [{"drive_id": 7, "drive_name": "Team", "owner_type": "group"},
            {"drive_id": "8", "owner_type": "user"}, {"drive_name": "no id"}],
            "root_group_drive": {"drive_id": "6", "drive_name": "Company", "owner_type": "group"}});
        let spaces = read(answer.as_object().unwrap()).unwrap();
        let found: Vec<_> = spaces
            .iter()
            .map(|s| (s.id.as_str(), s.name.as_str(), s.kind))
            .collect();
        let (team, personal) = (SpaceKind::Team, SpaceKind::Personal);
        assert_eq!(
            found,
            [
                ("6", "Company", team),
                ("7", "Team", team),
                ("8", "8", personal)
            ]
        );
    }
}
