//! Which spaces a person can open: the own one, and the organisation's.

use linkfs_provider::{ErrorKind, ProviderError, Result, Space as Listed, SpaceKind};
use linkfs_provider_http::value;

use crate::account::Account;
use crate::client::{Call, Fields};
use crate::space::Space;

/// The largest page the drive gives.
const PAGE_SIZE: &str = "50";

/// Every space that the person behind `space` can open.
///
/// # Errors
/// Whatever the drive says; `Broken` when its pages make no sense.
pub(crate) async fn all(account: &Account, space: &Space) -> Result<Vec<Listed>> {
    let mut spaces = Vec::from_iter(own(account, space).await?);
    let mut after: Option<String> = None;
    loop {
        let answer = account.call(&page_call(space, after.as_deref())).await?;
        for space in page(&answer)? {
            if spaces.iter().all(|known| known.id != space.id) {
                spaces.push(space);
            }
        }
        let next = value::text_of(&answer, "nextToken");
        if next.is_some() && next == after {
            return Err(broken("the next page is the same page again"));
        }
        after = match next {
            Some(next) => Some(next),
            None => return Ok(spaces),
        };
    }
}

/// The person's own space. Not everybody has one.
async fn own(account: &Account, space: &Space) -> Result<Option<Listed>> {
    let call = Call::get("own space", "/v1.0/drive/mySpaces");
    match account.call(&space.as_operator(call)).await {
        Ok(answer) => Ok(listed(&answer)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn page_call(space: &Space, after: Option<&str>) -> Call {
    let call = space
        .as_operator(Call::get("spaces", "/v1.0/drive/spaces"))
        .with_query("spaceType", "org")
        .with_query("maxResults", PAGE_SIZE);
    match after {
        Some(after) => call.with_query("nextToken", after),
        None => call,
    }
}

fn page(answer: &Fields) -> Result<Vec<Listed>> {
    let spaces = match answer.get("spaces") {
        Some(spaces) => value::elements(spaces),
        // Some serialisers leave an empty list out; then the token shows that it is one.
        None if answer.contains_key("nextToken") => &[],
        None => return Err(broken("it has no list of spaces")),
    };
    let fields = spaces.iter().filter_map(|space| space.as_object());
    Ok(fields.filter_map(listed).collect())
}

fn listed(fields: &Fields) -> Option<Listed> {
    let id = value::text_of(fields, "spaceId")?;
    let is_own = value::text_of(fields, "spaceType")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("personal"));
    Some(Listed {
        name: value::text_of(fields, "spaceName").unwrap_or_else(|| id.clone()),
        kind: match is_own {
            true => SpaceKind::Personal,
            false => SpaceKind::Team,
        },
        id,
    })
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::test_server::*;

    const OWN: &str = "/v1.0/drive/mySpaces";
    const ORG: &str = "/v1.0/drive/spaces";

    fn space(id: Value, name: &str, kind: &str) -> Value {
        json!({"spaceId": id, "spaceName": name, "spaceType": kind, "quota": -1})
    }

    async fn ids(server: &Server) -> Result<Vec<String>> {
        let drive = server.drive(token_mode()).await;
        let spaces = drive.spaces().expect("the drive tells").spaces().await?;
        let told = |space: Listed| format!("{} {} {:?}", space.id, space.name, space.kind);
        Ok(spaces.into_iter().map(told).collect())
    }

    #[tokio::test]
    async fn the_own_space_comes_before_all_pages_of_the_organisations() {
        let server = Server::start(|call| match call.path.as_str() {
            OWN => answer(space(json!(854_777), "", "personal")),
            _ if call.query.contains("nextToken=a%2B") => answer(
                json!({"spaces": [space(json!("1"), "again", "org"), space(json!("2"), "Two", "custom"),
                    {"spaceName": "no id"}], "nextToken": ""}),
            ),
            _ => answer(json!({"spaces": [space(json!("1"), "One", "org")], "nextToken": "a+"})),
        })
        .await;
        let found = ids(&server).await.unwrap();
        assert_eq!(
            found,
            ["854777 854777 Personal", "1 One Team", "2 Two Team"]
        );
        let first = "unionId=u%2FOwn&spaceType=org&maxResults=50";
        let asked: Vec<_> = server
            .calls(ORG)
            .into_iter()
            .map(|call| call.query)
            .collect();
        assert_eq!(asked, [first.to_owned(), format!("{first}&nextToken=a%2B")]);
    }

    #[tokio::test]
    async fn a_person_without_an_own_space_has_the_organisations() {
        let server = Server::start(|call| match call.path.as_str() {
            OWN => refusal(404, "spaceNotExist", "no"),
            _ => answer(json!({"spaces": [space(json!("1"), "One", "org")]})),
        })
        .await;
        assert_eq!(ids(&server).await.unwrap(), ["1 One Team"]);
    }

    #[tokio::test]
    async fn what_is_no_list_or_stands_still_is_broken() {
        for page in [json!({}), json!({"spaces": [], "nextToken": "a"})] {
            let server = Server::start(move |_| answer(page.clone())).await;
            assert_eq!(ids(&server).await.unwrap_err().kind, ErrorKind::Broken);
        }
    }
}
