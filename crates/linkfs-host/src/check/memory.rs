use std::fs;

use super::bench::Bench;
use super::findings::{Findings, Tried, missing, unchecked};
use super::promises;
use super::protocol::unknown;
use super::session::Session;

/// So many calls are under way at once.
const AT_ONCE: u32 = 100;
/// What a process may grow by after its first calls: what an allocator keeps for itself, and no more.
const MOST_GROWTH: u64 = 32 << 20;

/// Asks very often what costs the drive nothing.
pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>, calls: u32) {
    let tried = match bench.session().await {
        Ok(session) => growth(session, calls).await,
        Err(doubt) => Err(doubt),
    };
    findings.note(promises::MEMORY, tried);
}

async fn growth(session: &mut Session, calls: u32) -> Tried {
    // The first calls fill what is filled once.
    call(session, calls / 10).await?;
    let before = resident(session.pid())?;
    call(session, calls).await?;
    let grown = resident(session.pid())?.saturating_sub(before);
    match grown <= MOST_GROWTH {
        true => Ok(()),
        false => {
            let expected = format!("{} MiB more at most after {calls} calls", MOST_GROWTH >> 20);
            Err(missing(expected, format!("{} MiB", grown >> 20)))
        }
    }
}

async fn call(session: &mut Session, calls: u32) -> Tried {
    for start in (0..calls).step_by(AT_ONCE as usize) {
        let mut ids = Vec::new();
        for _ in start..calls.min(start + AT_ONCE) {
            ids.push(session.send(unknown()).await?);
        }
        for id in ids {
            // That it is refused is another promise.
            let _refused = session.answer(id).await?;
        }
    }
    Ok(())
}

/// What a process has in memory, in bytes.
fn resident(pid: u32) -> Tried<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let bytes = kilobytes.map(|kilobytes| kilobytes << 10);
    bytes.ok_or_else(|| unchecked("the kernel does not tell how much memory it takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_how_much_is_in_memory() {
        assert!(resident(std::process::id()).unwrap() > 64 << 10);
        assert!(resident(u32::MAX).is_err());
    }
}
