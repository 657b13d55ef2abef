use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use linkfs_emulator::Pacing;
use serde_json::{Value, json};

use crate::curl::{self, Transfer};
use crate::stock::Stock;
use crate::usage::Usage;

/// The drive as its clients see it: addresses, and a process.
#[derive(Debug)]
pub(crate) struct Cloud {
    process: Child,
    /// It serves while this is open.
    stdin: Option<ChildStdin>,
    /// The keys of a linkfs drive that uses it.
    pub(crate) drive: Value,
    control: String,
    /// The same files as a plain web site.
    pub(crate) site: String,
}

/// What it has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// Bytes of file content.
    pub(crate) bytes: u64,
    /// Requests to the object store.
    pub(crate) requests: u64,
    /// Calls of the API.
    pub(crate) calls: u64,
}

impl Cloud {
    /// Starts a drive that holds `stock`.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start(stock: Stock) -> Cloud {
        let program = std::env::current_exe().expect("a program knows its own path");
        let mut command = Command::new(program);
        command.args(["--serve", &stock.to_string()]);
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.expect("the drive starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("its stdout is ours");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it is");
        let mut place: Value = serde_json::from_str(&line).expect("in JSON");
        Cloud {
            stdin: process.stdin.take(),
            process,
            drive: place["drive"].take(),
            control: text(&place["control"]),
            site: text(&place["site"]),
        }
    }

    /// Sets how slow it is.
    pub(crate) fn pace(&self, pacing: &Pacing) {
        let pacing = serde_json::to_value(pacing).expect("plain numbers");
        curl::ask(&Transfer::post(
            self.control.clone() + "/pacing",
            "",
            &pacing,
        ));
    }

    /// Counts from zero.
    pub(crate) fn reset(&self) {
        let nothing = json!({});
        curl::ask(&Transfer::post(
            self.control.clone() + "/reset",
            "",
            &nothing,
        ));
    }

    /// What it has counted since.
    ///
    /// # Panics
    /// When it saw what no client may do.
    pub(crate) fn served(&self) -> Served {
        let counts = curl::ask(&Transfer::get(self.control.clone() + "/counters"));
        for key in ["bad_signatures", "data_errors"] {
            assert_eq!(counts[key], 0, "{key}");
        }
        assert_eq!(counts["violations"], json!({}));
        let calls = counts["calls"].as_object().expect("calls by name");
        Served {
            bytes: number(&counts["data_bytes"]),
            requests: number(&counts["data_requests"]),
            calls: calls.values().map(number).sum(),
        }
    }

    /// What its process has used.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.process.id())
    }

    /// The request for one page of a folder.
    pub(crate) fn list_request(&self, folder: &str, cursor: &str) -> Transfer {
        let mut page = json!({"pageSize": 100});
        if !cursor.is_empty() {
            page["pageCursor"] = cursor.into();
        }
        let body = json!({
            "containerId": self.drive["space"],
            "parentFileId": folder,
            "pageInfo": page,
            "sortInfo": {"sortType": 3, "sortDirection": 1},
        });
        self.request("/koodrive/ose/v1/files/0", &body)
    }

    /// The request for links to some files.
    pub(crate) fn sign_request(&self, files: &[String]) -> Transfer {
        let body = json!({"containerId": self.drive["space"], "fileIds": files});
        self.request("/koodrive/ose/v1/files/download", &body)
    }

    /// The request for a link to one file that everyone may open.
    pub(crate) fn share_request(&self, file: &str) -> Transfer {
        let body = json!({
            "containerId": self.drive["space"],
            "fileIds": [file],
            "scope": 1,
            "validDays": 7,
        });
        self.request("/koodrive/ose/v1/share", &body)
    }

    fn request(&self, path: &str, body: &Value) -> Transfer {
        let url = text(&self.drive["endpoint"]) + path;
        Transfer::post(url, &text(&self.drive["token"]), body)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended = self.process.wait();
    }
}

/// A text that must be there.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}
