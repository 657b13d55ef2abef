use std::collections::HashMap;
use std::future::Future;
use std::time::SystemTime;

use linkfs_provider::{ErrorKind, ItemId, Link, ProviderError, Result, SignedUrl};
use linkfs_provider_http::value;
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::envelope::Envelope;
use crate::{item_answer, link_expiry};

/// How many files one call may name.
pub(crate) const PER_CALL: usize = 100;

/// Where links are asked for.
pub(crate) const PATH: &str = "/koodrive/ose/v1/files/download";

/// Links by the file they are for.
pub(crate) type Links = HashMap<ItemId, Result<Link>>;

/// Asks for links; `files` are at most [`PER_CALL`].
pub(crate) fn call(container: &str, files: &[ItemId]) -> Call {
    let body = json!({"containerId": container, "fileIds": files});
    Call::post("links", PATH, &body)
}

/// The links of `files`, in their order, by `ask`, which gets those of some in one call. One that a batch
/// does not mention is asked for once more, alone; an answer that mentions none is no answer to this
/// call, and a hundred more calls would not help.
pub(crate) async fn all<F>(files: &[ItemId], ask: impl Fn(Vec<ItemId>) -> F) -> Vec<Result<Link>>
where
    F: Future<Output = Result<Links>>,
{
    let mut distinct = files.to_vec();
    distinct.sort();
    distinct.dedup();
    let mut found = match ask(distinct.clone()).await {
        Ok(found) => found,
        Err(error) => return files.iter().map(|_| Err(error.clone())).collect(),
    };
    let answers_the_call = !found.is_empty();
    for id in distinct {
        if answers_the_call && !found.contains_key(&id) {
            let alone = ask(vec![id.clone()]).await;
            let link = alone.and_then(|mut alone| alone.remove(&id).unwrap_or_else(unmentioned));
            found.insert(id, link);
        }
    }
    let link = |id: &ItemId| found.get(id).cloned().unwrap_or_else(unmentioned);
    files.iter().map(link).collect()
}

/// The links in an answer. Each file's own code decides; the batch's code contradicts it in the
/// documents and is not looked at.
///
/// # Errors
/// `Broken` when there is no list of downloads.
pub(crate) fn read(answer: &Envelope, client: &Client) -> Result<Links> {
    let downloads = match answer.field("downloads") {
        Some(downloads) => value::elements(downloads),
        None if answer.names("downloads") => &[],
        None => return Err(broken("the answer has no list of downloads")),
    };
    let mut links = Links::new();
    for fields in downloads.iter().filter_map(Value::as_object) {
        if let Some(id) = value::text_of(fields, "fileId") {
            let link = || link(fields, client, client.http.clock.latest());
            links.entry(ItemId(id)).or_insert_with(link);
        }
    }
    Ok(links)
}

fn link(fields: &Map<String, Value>, client: &Client, now: SystemTime) -> Result<Link> {
    item_answer::check(fields, client)?;
    let url = value::text_of(fields, "url");
    let url = url.ok_or_else(|| broken("the answer has no address for this file"))?;
    Ok(Link {
        valid_for: link_expiry::valid_for(&url, now),
        urls: vec![SignedUrl::new(url)?],
        headers: Vec::new(),
    })
}

fn unmentioned() -> Result<Link> {
    Err(broken("the answer does not mention this file"))
}

fn broken(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use linkfs_provider::Redactor;
    use reqwest::Url;

    use super::*;
    use crate::config::Identity;

    fn links(answer: Value) -> Result<Links> {
        let endpoint = Url::parse("http://127.0.0.1:1").unwrap();
        let http = linkfs_provider_http::Client::new(endpoint, Redactor::default()).unwrap();
        let client = Client::new(http, Identity::default());
        read(
            &Envelope::parse(answer.to_string().as_bytes()).unwrap(),
            &client,
        )
    }

    fn error(download: Value) -> ProviderError {
        let mut links = links(json!({"downloads": [download]})).unwrap();
        links.remove(&ItemId::from("a")).unwrap().unwrap_err()
    }

    #[test]
    fn each_file_has_its_own_answer() {
        let links = links(
            json!({"code": 0, "msg": "Success.", "batchCode": 2, "downloads": [
            {"fileId": "FqGone", "code": "13000309", "msg": "resource does not exist"},
            {"fileId": "Fq2Plan", "fileName": "translated.pdf", "code": "0", "msg": "success",
             "url": "https://obs.data.example.test/9b1c4f7e2d?X-Amz-Signature=3f0c"}]}),
        )
        .unwrap();
        let plan = links[&ItemId::from("Fq2Plan")].as_ref().unwrap();
        assert_eq!(plan.urls[0].host(), "obs.data.example.test");
        assert_eq!(plan.valid_for, Duration::from_secs(600));
        let gone = links[&ItemId::from("FqGone")].as_ref().unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound);
        assert_eq!(gone.message, "code 13000309: resource does not exist");
    }

    #[test]
    fn addresses_are_passed_through_byte_for_byte() {
        let url = "https://h/k%2Fx?response-content-disposition=a%3Bf%3D%25E5%2520&X-Amz-Expires=1";
        let answer = json!({"data": {"downloads": {"fileId": 7, "code": 0, "url": url}}});
        let links = links(answer).unwrap();
        let link = links[&ItemId::from("7")].as_ref().unwrap();
        assert_eq!(link.urls[0].expose(), url);
    }

    #[test]
    fn a_file_without_a_usable_address_is_broken() {
        assert_eq!(
            error(json!({"fileId": "a", "code": "0"})).kind,
            ErrorKind::Broken
        );
        let odd = json!({"fileId": "a", "code": "0", "url": "ftp://s3cret"});
        assert_eq!(error(odd.clone()).kind, ErrorKind::Broken);
        assert!(!format!("{:?}", error(odd)).contains("s3cret"));
    }

    #[test]
    fn codes_of_files_follow_the_table() {
        let folder = json!({"fileId": "a", "code": "13000406"});
        assert_eq!(error(folder).kind, ErrorKind::Invalid);
        let busy = json!({"fileId": "a", "code": 13000408});
        assert_eq!(error(busy).kind, ErrorKind::Unavailable);
        let odd = json!({"fileId": "a", "code": "OOPS", "msg": "at https://h/?sig=s3cret"});
        let odd = error(odd);
        assert_eq!(
            (odd.kind, odd.message.as_str()),
            (ErrorKind::Broken, "code OOPS: at (address)")
        );
    }

    #[test]
    fn an_answer_without_downloads_is_broken() {
        assert!(links(json!({"code": 0})).is_err());
        assert!(links(json!({"downloads": null})).unwrap().is_empty());
    }
}
