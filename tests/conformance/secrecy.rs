use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use linkfs_emulator::{Action, ROOT_ID, Rule, Tree};
use linkfs_provider::{Link, Provider};
use serde_json::Value;
use tokio::task::yield_now;
use tracing_subscriber::filter::LevelFilter;

use crate::rig::{Login, Rig, Start, link};

/// Everything that is logged in this process, at the most verbose level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("log lock").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log of this process: libraries write into it as well.
    fn capture() -> &'static Log {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Log::default();
            let sink = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(LevelFilter::TRACE)
                .with_writer(move || sink.clone())
                .init();
            log
        })
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().expect("log lock");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text with all that this provider has to say, which comes by another way than its answers where it
    /// is a process of its own.
    async fn complete_text(&self, provider: Arc<dyn Provider>) -> String {
        let pid = provider.process().and_then(|process| process.state().pid);
        drop(provider);
        if let Some(pid) = pid {
            let last = format!(" pid={pid} ");
            let is_last = |line: &str| line.contains("stderr has ended") && line.contains(&last);
            while !self.text().lines().any(|line| is_last(&format!("{line} "))) {
                yield_now().await;
            }
        }
        self.text()
    }
}

/// What a person could come to see.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn add(&mut self, value: &impl Debug) {
        self.0.push(format!("{value:?} {value:#?}"));
    }

    fn add_error<T: Debug>(&mut self, answer: Result<T, linkfs_provider::ProviderError>) {
        let error = answer.expect_err("the call fails");
        self.0.push(format!("{error}"));
        self.add(&error);
    }
}

pub(crate) async fn nothing_shown_holds_a_credential(start: Start) {
    let log = Log::capture();
    let tree = || {
        let tree = Tree::new();
        let node = tree.add_generated(ROOT_ID, "file", 1, 10);
        (tree, node)
    };
    for index in 0..start(tree().0).logins.len() {
        let (tree, node) = tree();
        let rig = start(tree);
        let login = &rig.logins[index];
        let provider = rig.open_with(login).await;
        let mut shown = Shown::default();
        shown.add(&rig.plugin);
        shown.add(provider.about());
        // The drive took this login: what follows has used it.
        let root = provider.about().root.clone();
        shown.add(&provider.list(&root, None).await.expect("the login is used"));
        assert!(rig.drive.counters().snapshot().unauthorized <= 1);
        if login.renews {
            // Some credentials are for the next token only.
            rig.drive.expire_tokens();
            shown.add(&provider.list(&root, None).await.expect("the login renews"));
            let renewals: u64 = ["token", "session", "auth"]
                .map(|call| rig.calls(call))
                .iter()
                .sum();
            assert!(renewals > 0, "login {index} was renewed");
        }
        let link = link(&*provider, &rig.id(&node)).await.expect("a link");
        shown.add(&link);
        let mut secrets = secrets(&rig, login);
        fail_in_every_way(&rig, &*provider, &secrets, &mut shown).await;
        secrets.extend(kept(&rig));
        secrets.extend(secrets_of_link(&link));
        let log = log.complete_text(provider).await;
        let name = rig.plugin.name;
        assert!(
            log.contains(&format!(" linkfs_plugin_{name}")),
            "the log holds the plugin's own lines"
        );
        // A token that is shown in part is shown: the emulators' have parts with a dot between.
        let parts = secrets.iter().flat_map(|secret| secret.split('.'));
        for secret in parts.filter(|part| part.len() >= 8) {
            let is_shown = shown.0.iter().find(|text| text.contains(secret));
            assert_eq!(is_shown, None, "login {index}: {secret}");
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "login {index}: {secret}");
        }
    }
}

/// Errors of every kind, from a drive that repeats what it was told.
async fn fail_in_every_way(
    rig: &Rig,
    provider: &dyn Provider,
    secrets: &BTreeSet<String>,
    shown: &mut Shown,
) {
    let root = provider.about().root.clone();
    let faults = rig.drive.faults();
    let echo: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let echo = echo.join(" and ");
    for code in [400, 403, 429, 500, 401] {
        let body = serde_json::json!({"code": "No", "error_code": "No", "errcode": "No",
            "msg": echo, "message": echo, "error_msg": echo, "errmsg": echo,
            "error_description": echo});
        let action = Action::Status {
            code,
            retry_after: None,
            body: Some(body.to_string()),
        };
        faults.add(Rule::on("any", action));
        shown.add_error(provider.list(&root, None).await);
        shown.add_error(provider.stat(&rig.id("never-was")).await);
        shown.add_error(link(provider, &rig.id("never-was")).await);
        shown.add_error(provider.usage().await);
        faults.clear();
    }
    for action in [
        Action::CloseConnection,
        Action::Garbage { body: Some(echo) },
    ] {
        faults.add(Rule::on("any", action));
        shown.add_error(provider.list(&root, None).await);
        faults.clear();
    }
}

/// The secret values of the configuration, and what the provider keeps for its next start.
fn secrets(rig: &Rig, login: &Login) -> BTreeSet<String> {
    let of_config = login.secrets.iter().map(|key| {
        let value = login.config[*key].as_str();
        value.expect("a secret is text").to_owned()
    });
    let secrets: BTreeSet<String> = of_config.chain(kept(rig)).collect();
    assert!(secrets.iter().all(|secret| secret.len() >= 8));
    secrets
}

/// The tokens in the state folder.
fn kept(rig: &Rig) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(rig.state.path()).expect("the state folder") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("a file of the provider");
        if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
            collect(&value, &mut found);
        }
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() >= 8 => drop(found.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        // `owner` is a digest that tells whose tokens these are.
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "owner")
            .for_each(|(_, value)| collect(value, found)),
        _ => {}
    }
}

/// The query of a signed address is a key, and so are signed headers.
fn secrets_of_link(link: &Link) -> Vec<String> {
    let queries = link
        .urls
        .iter()
        .filter_map(|url| url.expose().split_once('?'));
    let signatures = queries
        .flat_map(|(_, query)| query.split('&'))
        .filter(|pair| pair.to_ascii_lowercase().contains("signature="))
        .filter_map(|pair| pair.split_once('=').map(|(_, value)| value.to_owned()));
    let headers = link.headers.iter();
    let headers = headers
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.expose().clone());
    let found: Vec<String> = signatures.chain(headers).collect();
    assert!(!found.is_empty(), "a link is signed");
    found
}
