//! `.linkfs/metrics`: the numbers of the status in the text format of Prometheus.

use std::fmt::Write;

use crate::status::{DriveStatus, MemoryStatus, Status};

/// One number of a drive.
type OfDrive = fn(&DriveStatus) -> Option<u64>;

const OF_DRIVES: [(&str, &str, &str, OfDrive); 8] = [
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
    (
        "plugin_failures_total",
        "counter",
        "Processes of the drive's plugin that failed",
        |drive| Some(drive.plugin.as_ref()?.failures),
    ),
];

/// The status as metrics.
pub(crate) fn metrics(status: &Status) -> String {
    let mut text = String::new();
    memory(&mut text, &status.memory);
    for (name, about, value) in [
        (
            "open_handles",
            "Open files and folders",
            status.open_handles,
        ),
        ("nodes", "Files and folders known", status.nodes),
    ] {
        plain(&mut text, name, about, value as u64);
    }
    if let Some(disk) = &status.disk {
        for (name, about, value) in [
            (
                "disk_used_bytes",
                "What the disk cache takes",
                disk.used_bytes,
            ),
            (
                "disk_limit_bytes",
                "What the disk cache may take",
                disk.limit_bytes,
            ),
        ] {
            plain(&mut text, name, about, value.0);
        }
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

fn memory(text: &mut String, memory: &MemoryStatus) {
    describe(text, "memory_bytes", "gauge", "Memory by what it is for");
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
        let _ = writeln!(text, "linkfs_memory_bytes{{kind=\"{kind}\"}} {bytes}");
    }
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
    use std::collections::HashSet;

    use linkfs_provider::ByteCount;

    use super::*;
    use crate::block_cache::BlockCache;
    use crate::disk_cache::DiskCacheStats;
    use crate::memory::Memory;
    use crate::status::ShareStatus;

    fn drive(name: &str, shares: Option<ShareStatus>) -> DriveStatus {
        DriveStatus {
            name: name.into(),
            state: "ok",
            reason: None,
            advice: None,
            limited_for_seconds: None,
            calls: u64::MAX,
            failed_calls: 3,
            links: 4,
            unsaved_listings: None,
            second_requests: 5,
            hosts: Vec::new(),
            shares,
            plugin: None,
        }
    }

    fn status() -> Status {
        let shares = ShareStatus {
            made: 7,
            waiting: 8,
        };
        let limit_bytes = ByteCount(1 << 40);
        Status {
            version: "1",
            pid: 1,
            drives: vec![drive("work", Some(shares)), drive("a \"b\\c\"\n} 1", None)],
            memory: BlockCache::new(Memory::new(ByteCount(1 << 20))).status(),
            disk: Some(DiskCacheStats {
                limit_bytes,
                ..DiskCacheStats::default()
            }),
            disk_failure: None,
            dry_run: false,
            open_handles: 2,
            nodes: 9,
        }
    }

    fn is_name(text: &str) -> bool {
        let mut bytes = text.bytes();
        bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    /// The name, label and value of `name{key="value"} number`.
    fn sample(line: &str) -> Option<(&str, Option<&str>, &str)> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let Some(labels) = rest.strip_prefix('{') else {
            return Some((name, None, rest.strip_prefix(' ')?));
        };
        let (key, value) = labels.split_once("=\"")?;
        let mut is_escaped = false;
        let end = value.find(|character| {
            let ends = character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            ends
        })?;
        let number = value[end..].strip_prefix("\"} ")?;
        is_name(key).then_some((name, Some(&value[..end]), number))
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let text = metrics(&status());
        assert!(text.ends_with('\n'));
        let (mut described, mut seen) = (Vec::new(), HashSet::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, about) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !about.is_empty(), "{line}");
                assert!(!described.contains(&name), "twice: {line}");
                described.push(name);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(described.last(), Some(&name), "{line}");
                assert!(matches!(kind, "gauge" | "counter"), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else {
                let (name, label, value) = sample(line).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(described.last(), Some(&name), "{line}");
                assert!(value.parse::<u64>().is_ok(), "{line}");
                assert!(seen.insert((name, label)), "twice: {line}");
            }
        }
        for line in [
            "linkfs_nodes 9",
            "linkfs_open_handles 2",
            "linkfs_memory_bytes{kind=\"budget\"} 1048576",
            "linkfs_disk_limit_bytes 1099511627776",
            "linkfs_drive_up{drive=\"work\"} 1",
            "linkfs_drive_calls_total{drive=\"work\"} 18446744073709551615",
            "linkfs_drive_shares_waiting{drive=\"work\"} 8",
            "linkfs_drive_links{drive=\"a \\\"b\\\\c\\\"\\n} 1\"} 4",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn labels_cannot_end_early() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
