use super::bench::Bench;
use super::findings::{Findings, Tried, missing, unchecked};
use super::promises;
use super::witness::Seen;
use crate::proxy::AllowedHosts;

/// Looks at what came of the plugin's connections: its proxy refuses hosts that neither it nor the
/// configuration names.
pub(super) fn check(bench: &Bench, findings: &mut Findings<'_>) {
    bench.note_traffic();
    let hello = bench.hello.as_ref();
    let declared = hello.map(|hello| &hello.hosts[..]).unwrap_or_default();
    findings.note(promises::HOSTS, judge(declared, &bench.witness.seen()));
}

fn judge(declared: &[String], seen: &Seen) -> Tried {
    for pattern in declared {
        let allowed = AllowedHosts::new().allow_declared(pattern);
        allowed.map_err(|bad| missing("hosts", bad.to_string()))?;
    }
    if let Some(reason) = seen.forbidden.first() {
        let expected = "a host in the hello's `hosts` for each that it talks to";
        return Err(missing(expected, reason.clone()));
    }
    match seen.has_talked {
        true => Ok(()),
        false => Err(unchecked("it was not seen to talk to any host")),
    }
}
