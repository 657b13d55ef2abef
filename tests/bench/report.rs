use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use crate::figures::{Target, median};
use crate::mount::Attempt;
use crate::scenario::{Measured, Scenario, Work};

/// The table, for people as it grows and for programs at the end.
#[derive(Debug)]
pub(crate) struct Report {
    curl_start: Duration,
    rows: Vec<Value>,
    missed: Vec<&'static str>,
}

/// Says what a scenario measures.
pub(crate) fn describe(scenario: &Scenario) {
    let delay = match scenario.pacing.data_latency_ms {
        0 => String::new(),
        ms => format!(
            "; {ms} ms before each answer, {} MB/s for all",
            scenario.pacing.link_rate / 1_000_000
        ),
    };
    println!("{:<14} {}{delay}", scenario.name, scenario.about);
}

impl Report {
    /// Begins the table.
    pub(crate) fn begin(curl_start: Duration) -> Report {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!(
            "Medians. curl's times are without its start, {:.1} ms. Load of the machine: {}",
            curl_start.as_secs_f64() * 1000.0,
            load.split(' ').next().unwrap_or_default()
        );
        println!(
            "{:<14} {:>12} {:>12} {:>6} {:>12} {:>8} {:>6} {:>7} {:>8} {:>5} {:>6} {:>8}",
            "name",
            "limit",
            "linkfs",
            "ratio",
            "of rounds",
            "target",
            "rclone",
            "bytes",
            "requests",
            "MiB",
            "CPU s",
            "server s"
        );
        Report {
            curl_start,
            rows: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, measured: Measured) {
        let row = Row::of(&measured);
        println!("{}", row.line(&measured));
        if !row.is_met {
            self.missed.push(measured.scenario.name);
        }
        self.rows.push(row.json(&measured));
    }

    /// Sums up.
    pub(crate) fn end(&self) {
        match self.missed.as_slice() {
            [] => println!("Every target is met."),
            missed => println!("Targets missed: {}.", missed.join(", ")),
        }
    }

    /// Writes all rows with all rounds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_json(&self, path: &Path) -> io::Result<()> {
        let all = json!({
            "curl_start_s": self.curl_start.as_secs_f64(),
            "scenarios": self.rows,
        });
        fs::write(path, format!("{all:#}\n"))
    }
}

/// A scenario's figures.
#[derive(Debug)]
struct Row {
    limit: Option<Duration>,
    linkfs: Duration,
    ratio: f64,
    /// Of the rounds: the smallest and the largest.
    spread: (f64, f64),
    /// rclone's time and ratio, if it took part.
    peer: Option<(Duration, f64)>,
    /// Bytes served for each that was asked for.
    bytes: Option<f64>,
    /// Requests to the object store and calls of the API.
    requests: u64,
    peak: u64,
    cpu: Duration,
    server_cpu: Duration,
    is_met: bool,
}

impl Row {
    fn of(measured: &Measured) -> Row {
        let Measured {
            scenario,
            limits,
            attempts,
            peers,
        } = measured;
        let middle = |of: fn(&Attempt) -> Duration| median(attempts.iter().map(of).collect());
        let limit = (!limits.is_empty()).then(|| median(limits.clone()));
        let linkfs = middle(|attempt| attempt.took);
        let ratio = scenario.target.ratio(limit, linkfs);
        let peer = (!peers.is_empty()).then(|| {
            let peer = median(peers.clone());
            (peer, scenario.target.ratio(limit, peer))
        });
        let asked = scenario.work.bytes(&scenario.stock);
        let served = attempts.iter().map(|attempt| attempt.served.bytes).max();
        let bytes = asked.map(|asked| served.unwrap_or_default() as f64 / asked as f64);
        let peak = attempts.iter().map(|attempt| attempt.peak).max();
        let peak = peak.unwrap_or_default();
        let requests = |attempt: &Attempt| attempt.served.requests + attempt.served.calls;
        let requests = attempts.iter().map(requests).max();
        let too_many = scenario.bytes_at_most.zip(bytes);
        let is_met = scenario.target.is_met(ratio)
            && too_many.is_none_or(|(most, bytes)| bytes <= most)
            && scenario.memory_at_most.is_none_or(|most| peak <= most);
        Row {
            limit,
            linkfs,
            ratio,
            spread: spread(measured),
            peer,
            bytes,
            requests: requests.unwrap_or_default(),
            peak,
            cpu: middle(|attempt| attempt.cpu),
            server_cpu: middle(|attempt| attempt.server_cpu),
            is_met,
        }
    }

    fn line(&self, measured: &Measured) -> String {
        let scenario = &measured.scenario;
        let show = |time| figure(scenario, time);
        let number = |value: f64| match value.is_nan() {
            true => "-".to_owned(),
            false => digits(value),
        };
        let spread = match measured.limits.is_empty() {
            true => String::new(),
            false => format!("{}..{}", digits(self.spread.0), digits(self.spread.1)),
        };
        format!(
            "{:<14} {:>12} {:>12} {:>6} {:>12} {:>8} {:>6} {:>7} {:>8} {:>5} {:>6.2} {:>8.2}{}",
            scenario.name,
            self.limit.map_or("-".to_owned(), show),
            show(self.linkfs),
            number(self.ratio),
            spread,
            target(scenario.target),
            self.peer.map_or("-".to_owned(), |(_, ratio)| digits(ratio)),
            self.bytes
                .map_or("-".to_owned(), |bytes| format!("{bytes:.3}")),
            self.requests,
            self.peak >> 20,
            self.cpu.as_secs_f64(),
            self.server_cpu.as_secs_f64(),
            if self.is_met { "" } else { "  missed" }
        )
    }

    fn json(&self, measured: &Measured) -> Value {
        let scenario = &measured.scenario;
        let seconds =
            |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
        let of = |of: fn(&Attempt) -> Value| measured.attempts.iter().map(of).collect::<Vec<_>>();
        json!({
            "name": scenario.name,
            "about": scenario.about,
            "drive": scenario.stock.to_string(),
            "pacing": scenario.pacing,
            "limit_pacing": scenario.limit_pacing,
            "asked_bytes": scenario.work.bytes(&scenario.stock),
            "limit_s": self.limit.map(|limit| limit.as_secs_f64()),
            "linkfs_s": self.linkfs.as_secs_f64(),
            "ratio": (!self.ratio.is_nan()).then_some(self.ratio),
            "rclone_s": self.peer.map(|(took, _)| took.as_secs_f64()),
            "rclone_ratio": self.peer.map(|(_, ratio)| ratio),
            "target": target(scenario.target),
            "bytes_ratio": self.bytes,
            "bytes_ratio_at_most": scenario.bytes_at_most,
            "peak_memory_bytes": self.peak,
            "peak_memory_at_most_bytes": scenario.memory_at_most,
            "cpu_s": self.cpu.as_secs_f64(),
            "server_cpu_s": self.server_cpu.as_secs_f64(),
            "is_met": self.is_met,
            "rounds": {
                "limit_s": seconds(&measured.limits),
                "linkfs_s": of(|attempt| attempt.took.as_secs_f64().into()),
                "rclone_s": seconds(&measured.peers),
                "served_bytes": of(|attempt| attempt.served.bytes.into()),
                "requests": of(|attempt| attempt.served.requests.into()),
                "calls": of(|attempt| attempt.served.calls.into()),
                "cpu_s": of(|attempt| attempt.cpu.as_secs_f64().into()),
                "peak_memory_bytes": of(|attempt| attempt.peak.into()),
            },
        })
    }
}

/// The ratios of the rounds: the smallest and the largest.
fn spread(measured: &Measured) -> (f64, f64) {
    let target = measured.scenario.target;
    let rounds = measured.limits.iter().zip(&measured.attempts);
    let ratios = rounds.map(|(limit, attempt)| target.ratio(Some(*limit), attempt.took));
    ratios.fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), ratio| (least.min(ratio), most.max(ratio)),
    )
}

/// A time as people compare it: the speed that it makes, or itself.
fn figure(scenario: &Scenario, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match scenario.work {
        Work::Read(load) | Work::ReadAgain(load) => {
            let (count, unit) = load.amount(&scenario.stock);
            format!("{:.0} {unit}/s", count / seconds)
        }
        _ if seconds < 0.01 => format!("{:.3} ms", seconds * 1000.0),
        _ => format!("{:.1} ms", seconds * 1000.0),
    }
}

/// Two digits, or as many as it takes to see something of a time below 10 ms.
fn digits(value: f64) -> String {
    match value.abs() < 0.01 {
        true => format!("{value:.4}"),
        false => format!("{value:.2}"),
    }
}

fn target(target: Target) -> String {
    match target {
        Target::Speed(least) => format!(">= {least}"),
        Target::Time(most) => format!("<= {most}"),
        Target::Beyond(most) => format!("<= +{} s", most.as_secs_f64()),
        Target::Within(most) => format!("<= {} s", most.as_secs_f64()),
        Target::Any => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Served;
    use crate::scenarios;

    /// `seq-cold` measured once: both sides took so long, and it cost so much.
    fn sequential(linkfs_ms: u64, bytes_ratio: f64, peak_mib: u64) -> Measured {
        let scenario = scenarios::all(false).swap_remove(0);
        let asked = scenario
            .work
            .bytes(&scenario.stock)
            .expect("it reads bytes");
        let served = Served {
            bytes: (asked as f64 * bytes_ratio) as u64,
            requests: 8,
            calls: 2,
        };
        let attempt = Attempt {
            took: Duration::from_millis(linkfs_ms),
            served,
            cpu: Duration::ZERO,
            server_cpu: Duration::ZERO,
            peak: peak_mib << 20,
        };
        Measured {
            scenario,
            limits: vec![Duration::from_millis(100)],
            attempts: vec![attempt],
            peers: vec![Duration::from_millis(1000)],
        }
    }

    #[test]
    fn a_target_is_of_time_and_bytes_and_memory() {
        for (linkfs_ms, bytes_ratio, peak_mib, is_met) in [
            (200, 1.0, 320, true),
            (201, 1.0, 320, false),
            (200, 1.02, 320, false),
            (200, 1.0, 321, false),
        ] {
            let row = Row::of(&sequential(linkfs_ms, bytes_ratio, peak_mib));
            assert_eq!(row.is_met, is_met, "{row:?}");
        }
    }

    #[test]
    fn a_line_has_all_figures_in_people_s_units() {
        let measured = sequential(400, 1.0, 300);
        let line = Row::of(&measured).line(&measured);
        let fields: Vec<_> = line.split_whitespace().collect();
        let expected = "seq-cold 21475 MB/s 5369 MB/s 0.25 0.25..0.25 >= 0.5 0.10 1.000 10 300 0.00 0.00 missed";
        assert_eq!(fields.join(" "), expected);
    }

    #[test]
    fn rounds_are_compared_in_pairs() {
        let mut measured = sequential(200, 1.0, 1);
        measured.limits.push(Duration::from_millis(50));
        measured.attempts.push(measured.attempts[0]);
        assert_eq!(spread(&measured), (0.25, 0.5));
    }
}
