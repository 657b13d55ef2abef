use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::Instant;

use super::Launch;

/// A line is cut to this many bytes for the log.
const LONGEST_LINE: u64 = 2_000;
/// What the log adds to a line: the time, the drive's plugin, its process.
const LINE_COST: usize = 150;
/// So many bytes are logged at once of a plugin that was quiet: more than a start tells in all details.
const BURST: f64 = 1_048_576.0;
/// And so many a second of one that never is: 700 MB a day.
const BYTES_PER_SECOND: f64 = 8_192.0;

/// What a plugin writes to stderr goes to our log, without the secrets it was given, and not all of it when
/// it is a flood.
pub(super) async fn log(launch: Arc<Launch>, pid: u32, stderr: impl AsyncRead + Unpin) {
    let mut stderr = BufReader::new(stderr);
    let mut allowance = Allowance::new();
    let mut left_out = 0_u64;
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = (&mut stderr)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut text)
            .await;
        let is_over = !matches!(read, Ok(bytes) if bytes > 0);
        let is_allowed = allowance.take(text.len() + LINE_COST);
        if left_out > 0 && (is_over || is_allowed) {
            tracing::warn!(
                plugin = launch.name,
                pid,
                left_out,
                "a plugin writes too much to stderr"
            );
            left_out = 0;
        }
        if is_over {
            tracing::debug!(plugin = launch.name, pid, "a plugin's stderr has ended");
            return;
        }
        if is_allowed {
            let line = String::from_utf8_lossy(&text);
            let line = launch.redactor.hide(line.trim());
            note(&launch.name, pid, &line);
        } else {
            left_out += 1;
        }
    }
}

/// Logs a line at the level that it begins with.
fn note(plugin: &str, pid: u32, line: &str) {
    let (level, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (line, rest) = (line.escape_debug(), rest.trim_start().escape_debug());
    match level {
        "ERROR" => tracing::error!(plugin, pid, "{rest}"),
        "WARN" => tracing::warn!(plugin, pid, "{rest}"),
        "DEBUG" => tracing::debug!(plugin, pid, "{rest}"),
        "TRACE" => tracing::trace!(plugin, pid, "{rest}"),
        "INFO" => tracing::info!(plugin, pid, "{rest}"),
        _ => tracing::info!(plugin, pid, "{line}"),
    }
}

/// How much may be logged: some at once, and then as much as comes in with time.
#[derive(Debug)]
struct Allowance {
    bytes: f64,
    since: Instant,
}

impl Allowance {
    fn new() -> Allowance {
        Allowance {
            bytes: BURST,
            since: Instant::now(),
        }
    }

    /// Whether there is room for a line.
    fn take(&mut self, bytes: usize) -> bool {
        let elapsed: Duration = self.since.elapsed();
        self.since += elapsed;
        self.bytes = (self.bytes + elapsed.as_secs_f64() * BYTES_PER_SECOND).min(BURST);
        let wanted = bytes as f64;
        let is_there = wanted <= self.bytes;
        if is_there {
            self.bytes -= wanted;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_logged_in_part_and_a_line_a_second_whole() {
        let mut allowance = Allowance::new();
        let logged =
            |allowance: &mut Allowance| (0..10_000).filter(|_| allowance.take(1_024)).count();
        assert_eq!(logged(&mut allowance), 1_024);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(logged(&mut allowance), 80);
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(allowance.take(2_000));
        }
    }
}
