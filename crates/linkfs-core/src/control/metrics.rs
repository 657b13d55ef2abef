//! `.linkfs/metrics`: the numbers of the status in the text format of Prometheus.

use std::fmt::Write;

use crate::status::{DriveStatus, Status};

/// One number of a drive.
type OfDrive = fn(&DriveStatus) -> Option<u64>;

const OF_DRIVES: [(&str, &str, &str, OfDrive); 7] = [
    ("up", "gauge", "1 when the drive answers", |drive| {
        Some(u64::from(drive.state == "ok"))
    }),
    ("calls_total", "counter", "Calls to the drive", |drive| {
        Some(drive.calls)
    }),
    (
        "failed_calls_total",
        "counter",
        "Calls that failed",
        |drive| Some(drive.failed_calls),
    ),
    ("links", "gauge", "Signed links held", |drive| {
        Some(drive.links as u64)
    }),
    (
        "second_requests_total",
        "counter",
        "Ranges asked for a second time",
        |drive| Some(drive.second_requests),
    ),
    (
        "shares_made_total",
        "counter",
        "Shares made or changed",
        |drive| Some(drive.shares.as_ref()?.made),
    ),
    (
        "shares_waiting",
        "gauge",
        "Requests that wait for their share",
        |drive| Some(drive.shares.as_ref()?.waiting as u64),
    ),
];

/// The status as metrics.
pub(crate) fn metrics(status: &Status) -> String {
    let mut text = String::new();
    let memory = &status.memory;
    for (kind, bytes) in [
        ("budget", memory.budget_bytes),
        ("cached", memory.cached_bytes),
        ("pending", memory.pending_bytes),
        ("reads", memory.reads_bytes),
        ("blocks", memory.block_bytes),
        ("free", memory.free_bytes),
        ("names", memory.name_bytes),
        ("peak", memory.peak_bytes),
    ] {
        if kind == "budget" {
            describe(
                &mut text,
                "memory_bytes",
                "gauge",
                "Memory by what it is for",
            );
        }
        let _ = writeln!(text, "linkfs_memory_bytes{{kind=\"{kind}\"}} {bytes}");
    }
    let handles = status.open_handles as u64;
    plain(&mut text, "open_handles", "Open files and folders", handles);
    plain(
        &mut text,
        "nodes",
        "Files and folders known",
        status.nodes as u64,
    );
    if let Some(disk) = &status.disk {
        let (used, limit) = (disk.used_bytes.0, disk.limit_bytes.0);
        plain(
            &mut text,
            "disk_used_bytes",
            "What the disk cache takes",
            used,
        );
        plain(
            &mut text,
            "disk_limit_bytes",
            "What the disk cache may take",
            limit,
        );
    }
    for (name, kind, about, value) in OF_DRIVES {
        describe(&mut text, &format!("drive_{name}"), kind, about);
        for drive in &status.drives {
            if let Some(value) = value(drive) {
                let label = escape(&drive.name);
                let _ = writeln!(text, "linkfs_drive_{name}{{drive=\"{label}\"}} {value}");
            }
        }
    }
    text
}

fn plain(text: &mut String, name: &str, about: &str, value: u64) {
    describe(text, name, "gauge", about);
    let _ = writeln!(text, "linkfs_{name} {value}");
}

fn describe(text: &mut String, name: &str, kind: &str, about: &str) {
    let _ = writeln!(
        text,
        "# HELP linkfs_{name} {about}\n# TYPE linkfs_{name} {kind}"
    );
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_end_early() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
