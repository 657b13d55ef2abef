use linkfs_provider::wire::ErrorKind;
use serde_json::{Map, Value, json};

use super::bench::Bench;
use super::findings::{Findings, Tried, missing, unchecked};
use super::promises;
use super::session::kind;

/// A key that no plugin has.
const UNKNOWN: &str = "linkfs_check_unknown";
/// A value that must not be repeated.
const CANARY: &str = "linkfs-check-canary-7d1f0c";

/// Tries configurations that are wrong. The drive need not be asked to see that.
pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>) {
    bench.launch.redactor.learn(CANARY);
    let mut config = bench.config();
    config.insert(UNKNOWN.to_owned(), CANARY.into());
    let refused = is_refused(bench, config, UNKNOWN).await;
    findings.note(promises::UNKNOWN_SETTING, refused);
    let mut config = bench.config();
    let text = config.iter().find(|(_, value)| value.is_string());
    let Some(key) = text.map(|(key, _)| key.clone()) else {
        let why = "the configuration has no text that could be of another type";
        findings.note(promises::WRONG_SETTING, Err(unchecked(why)));
        return;
    };
    config.insert(key.clone(), json!({ CANARY: CANARY }));
    let refused = is_refused(bench, config, &key).await;
    findings.note(promises::WRONG_SETTING, refused);
}

async fn is_refused(bench: &Bench, config: Map<String, Value>, key: &str) -> Tried {
    let expected = format!("the error {} about `{key}`", kind(ErrorKind::Invalid));
    let mut session = bench.start().await?;
    session.hello().await?;
    let ready = session.configure(config).await;
    let tried = ready.and_then(|ready| match ready.error {
        Some(error) if error.kind == ErrorKind::Invalid => Ok(()),
        Some(error) => Err(missing(expected, session.shown(&error))),
        None => Err(missing(expected, "it opened the drive")),
    });
    session.discard().await;
    tried
}
