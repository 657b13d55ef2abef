//! curl, the limit: what the machine and the drive allow a client that does nothing with the bytes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linkfs_tests::run;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::figures::median;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    url: String,
    /// The first byte and how many.
    range: Option<(u64, u64)>,
    /// The access token and the body.
    post: Option<(String, String)>,
}

/// What came of some transfers.
#[derive(Debug)]
pub(crate) struct Transferred {
    /// From curl's start to its end, less what a curl without work takes.
    pub(crate) took: Duration,
    /// How long each transfer took by curl's own clock, in the order of their ends.
    pub(crate) each: Vec<Duration>,
    /// Bytes of all bodies.
    pub(crate) bytes: u64,
    /// Connections that were made.
    pub(crate) connections: u64,
}

impl Transfer {
    pub(crate) fn get(url: String) -> Transfer {
        Transfer {
            url,
            range: None,
            post: None,
        }
    }

    pub(crate) fn range(url: String, first: u64, length: u64) -> Transfer {
        Transfer {
            range: Some((first, length)),
            ..Transfer::get(url)
        }
    }

    pub(crate) fn post(url: String, token: &str, body: &Value) -> Transfer {
        Transfer {
            post: Some((token.into(), body.to_string())),
            ..Transfer::get(url)
        }
    }

    /// Its section of a curl configuration, all options but where the body goes.
    fn section(&self) -> String {
        let mut text = format!("url = {}\ngloboff\nfail\nshow-error\n", quoted(&self.url));
        if let Some((first, length)) = self.range {
            let last = first + length - 1;
            writeln!(text, "range = {first}-{last}").expect("a String takes all");
        }
        if let Some((token, body)) = &self.post {
            let json = quoted("Content-Type: application/json");
            let bearer = quoted(&format!("Authorization: Bearer {token}"));
            let body = quoted(body);
            writeln!(
                text,
                "header = {json}\nheader = {bearer}\ndata-raw = {body}"
            )
            .expect("a String takes all");
        }
        text
    }
}

/// A value in a curl configuration.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The median time of a curl that transfers nothing.
pub(crate) fn start_time() -> Duration {
    let once = || {
        let started = Instant::now();
        run(Command::new("curl").arg("--version")).success();
        started.elapsed()
    };
    median((0..11).map(|_| once()).collect())
}

/// The answer to one request, as JSON.
///
/// # Panics
/// When the request fails or the answer is not JSON.
pub(crate) fn ask(request: &Transfer) -> Value {
    let config = config_file(&request.section());
    let mut command = Command::new("curl");
    command.args(["--silent", "--config"]).arg(config.path());
    let answer = run(&mut command).success();
    serde_json::from_str(&answer).expect("the drive answers in JSON")
}

/// Lets one curl process do the transfers, `at_once` at a time, on connections that it keeps. The bodies
/// go nowhere.
///
/// # Panics
/// When one of them fails.
pub(crate) fn transfer(transfers: &[Transfer], at_once: usize, start: Duration) -> Transferred {
    const SHOWN: &str = "%{size_download} %{time_total} %{num_connects}\\n";
    let sections: Vec<_> = transfers
        .iter()
        .map(|transfer| {
            let section = transfer.section();
            format!("{section}output = \"/dev/null\"\nwrite-out = \"{SHOWN}\"\n")
        })
        .collect();
    let config = config_file(&sections.join("next\n"));
    let mut command = Command::new("curl");
    command.arg("--silent").arg("--config").arg(config.path());
    if at_once > 1 {
        command.args(["--parallel", "--parallel-max", &at_once.to_string()]);
    }
    command.stdin(Stdio::null());
    let started = Instant::now();
    let shown = run(&mut command).success();
    let took = started.elapsed().saturating_sub(start);
    let transferred = read(&shown, took);
    assert_eq!(transferred.each.len(), transfers.len(), "{shown}");
    transferred
}

fn config_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

/// Reads what curl shows of each transfer.
fn read(shown: &str, took: Duration) -> Transferred {
    let mut transferred = Transferred {
        took,
        each: Vec::new(),
        bytes: 0,
        connections: 0,
    };
    for line in shown.lines() {
        let mut fields = line.split(' ');
        let mut field = || fields.next().expect("three fields");
        transferred.bytes += field().parse::<u64>().expect("a size");
        let seconds = field().parse().expect("a time");
        transferred.each.push(Duration::from_secs_f64(seconds));
        transferred.connections += field().parse::<u64>().expect("a count");
    }
    transferred
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_shows_is_added_up() {
        let transferred = read("4096 0.020500 1\n100 0.001000 0\n", Duration::ZERO);
        assert_eq!((transferred.bytes, transferred.connections), (4196, 1));
        let each = [20_500, 1000].map(Duration::from_micros);
        assert_eq!(transferred.each, each);
    }

    #[test]
    fn a_range_ends_with_its_last_byte() {
        let section = Transfer::range("http://h/a?b=\"c\\".into(), 10, 5).section();
        assert!(section.contains("range = 10-14\n"), "{section}");
        assert!(
            section.starts_with("url = \"http://h/a?b=\\\"c\\\\\"\n"),
            "{section}"
        );
    }
}
