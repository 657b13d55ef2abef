//! Which spaces a person can open: the own ones, and those of the group in the settings. The drive
//! tells the spaces of one owner at a time, and of no person which groups there are.

use linkfs_provider::{ErrorKind, ProviderError, Result, Space as Listed, SpaceKind};
use linkfs_provider_http::{path, value};
use serde_json::{Map, Value};

use crate::account::Account;
use crate::client::Call;
use crate::config::Team;
use crate::envelope::Envelope;
use crate::login;

/// The type of a person's own space.
const PERSONAL: &str = "1";

/// Every space of the person, then those of `team`.
///
/// # Errors
/// Whatever the drive says; `Broken` when an answer has no spaces, or does not tell who asks.
pub(crate) async fn all(account: &Account, team: Option<&Team>) -> Result<Vec<Listed>> {
    let person = match account.client().user_id() {
        Some(person) => person.to_owned(),
        None => who_asks(&account.call(&login::who_am_i()).await?)?,
    };
    let mut spaces = of_owner(account, &person, PERSONAL).await?;
    if let Some(team) = team {
        let theirs = of_owner(account, &team.group, &team.kind.to_string()).await?;
        let is_new = |space: &Listed| spaces.iter().all(|known| known.id != space.id);
        let theirs: Vec<_> = theirs.into_iter().filter(is_new).collect();
        spaces.extend(theirs);
    }
    Ok(spaces)
}

/// The spaces of a person, group or department. Not every one has some.
async fn of_owner(account: &Account, owner: &str, kind: &str) -> Result<Vec<Listed>> {
    let path = format!("/koodrive/ose/v2/space/{}", path::segment(owner)?);
    let call = Call::get("spaces", path).with_query("type", kind);
    match account.call(&call).await {
        Ok(answer) => read(&answer, owner),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The id that the drive owns a person's space under. The answer has an inner id beside it, or alone.
fn who_asks(answer: &Envelope) -> Result<String> {
    let id = |name| {
        let id = answer.field(name).and_then(value::text);
        id.filter(|id| !id.is_empty())
    };
    id("userId")
        .or_else(|| id("innerUserId"))
        .ok_or_else(|| broken("it does not tell who asks; `user_id` in the settings does"))
}

fn read(answer: &Envelope, owner: &str) -> Result<Vec<Listed>> {
    if !answer.names("data") {
        return Err(broken("it has no list of spaces"));
    }
    let spaces = answer.at("data").map_or(&[][..], value::elements);
    let fields = spaces.iter().filter_map(Value::as_object);
    Ok(fields.filter_map(|space| listed(space, owner)).collect())
}

/// A space has no name of its own: it is told apart by whose it is.
fn listed(space: &Map<String, Value>, owner: &str) -> Option<Listed> {
    let (kind, name) = match value::text_of(space, "type").as_deref() {
        Some("0") => (SpaceKind::Team, format!("space of department {owner}")),
        Some("2") => (SpaceKind::Team, format!("space of group {owner}")),
        _ => (SpaceKind::Personal, "personal space".to_owned()),
    };
    Some(Listed {
        id: value::text_of(space, "containerId")?,
        name,
        kind,
    })
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_server::*;

    async fn spaces(server: &Server, config: Value) -> Result<Vec<String>> {
        let drive = server.drive(config).await;
        let spaces = drive.spaces().expect("the drive tells").spaces().await?;
        let told = |space: Listed| format!("{} {} {:?}", space.id, space.name, space.kind);
        Ok(spaces.into_iter().map(told).collect())
    }

    fn of_person(call: &Seen) -> axum::response::Response {
        match call.path.as_str() {
            "/koodrive/ose/v1/session/auth" => {
                answer(json!({"code": 0, "data": {"innerUserId": "77", "userId": "u/1"}}))
            }
            "/koodrive/ose/v2/space/u%2F1" => {
                answer(json!({"code": 0, "data": [{"type": "1", "containerId": "C1"}]}))
            }
            "/koodrive/ose/v2/space/g-55" => {
                answer(json!({"code": 0, "data": {"type": 2, "containerId": "C2"}}))
            }
            _ => refusal(
                400,
                json!({"code": 13_000_301, "msg": "space does not exist"}),
            ),
        }
    }

    #[tokio::test]
    async fn a_person_has_spaces_and_the_group_of_the_settings() {
        let server = Server::start(of_person).await;
        let own = "C1 personal space Personal";
        assert_eq!(spaces(&server, token_mode()).await.unwrap(), [own]);
        let team = json!({"token": "fake", "group": "g-55"});
        let theirs = "C2 space of group g-55 Team";
        assert_eq!(spaces(&server, team).await.unwrap(), [own, theirs]);
        let calls = server.calls("/koodrive/ose/v2/space/g-55");
        assert_eq!(calls[0].query, "type=2");
    }

    #[tokio::test]
    async fn a_person_who_is_known_is_not_asked_for() {
        let server = Server::start(of_person).await;
        let nobody = json!({"token": "fake", "user_id": "u-2"});
        assert!(spaces(&server, nobody).await.unwrap().is_empty());
        assert_eq!(
            server.calls("/koodrive/ose/v2/space/u-2")[0].query,
            "type=1"
        );
        assert!(server.calls("/koodrive/ose/v1/session/auth").is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_does_not_tell_is_broken() {
        for data in [json!({}), json!({"role": 1, "userId": ""})] {
            let server = Server::start(move |_| answer(json!({"code": 0, "data": data}))).await;
            let error = spaces(&server, token_mode()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken);
        }
        let known = json!({"token": "fake", "user_id": "u-2"});
        let server = Server::start(|_| answer(json!({"code": 0}))).await;
        let error = spaces(&server, known).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
    }
}
