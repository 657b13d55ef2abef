use super::bench::Bench;
use super::findings::{Findings, Tried, missing};
use super::promises;

/// Looks through all that was seen, once every process has ended.
pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>) {
    bench.put_away().await;
    findings.note(promises::ONCE, once(bench));
    findings.note(promises::SECRECY, secrecy(bench));
}

fn once(bench: &Bench) -> Tried {
    let breach = bench.witness.seen().breaches.first().cloned();
    match breach {
        None => Ok(()),
        Some(breach) => Err(missing(
            "one answer for each call, and nothing else",
            breach,
        )),
    }
}

fn secrecy(bench: &Bench) -> Tried {
    let seen = bench.witness.seen();
    // What the redactor would take out must not be there.
    let shows = |text: &str| bench.launch.redactor.hide(text) != text;
    let stderr = String::from_utf8_lossy(&seen.stderr);
    if shows(&stderr) {
        return Err(missing("no secret on stderr", "one, as it is configured"));
    }
    match seen.messages.iter().any(|message| shows(message)) {
        true => Err(missing("no secret in messages", "one, as it is configured")),
        false => Ok(()),
    }
}
