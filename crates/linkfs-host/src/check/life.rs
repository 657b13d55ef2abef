use linkfs_provider::wire::{Call, Item};

use super::bench::Bench;
use super::findings::{Findings, Tried, unchecked};
use super::listing::{Seen, same};
use super::promises;

/// Lets the process end, and asks another one about the same item.
pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>, seen: &Seen) {
    let before = told(bench, seen).await;
    let ended = match bench.take() {
        Some(session) => session.end().await,
        None => match bench.open().await {
            Ok(session) => session.end().await,
            Err(doubt) => Err(doubt),
        },
    };
    bench.put_away().await;
    findings.note(promises::END, ended);
    let known = match before {
        Ok(before) => told(bench, seen)
            .await
            .and_then(|after| same(&before, &after)),
        Err(doubt) => Err(doubt),
    };
    findings.note(promises::RESTART, known);
}

/// What a process tells of the first item that was listed.
async fn told(bench: &mut Bench, seen: &Seen) -> Tried<Item> {
    let Some(listed) = seen.items.first() else {
        return Err(unchecked("the drive shows no item"));
    };
    let call = Call::Stat {
        item: listed.id.clone(),
    };
    bench.session().await?.value(call).await
}
