//! A plugin of one small folder, as its author would write it without any library of ours; and one flaw in
//! it, which is the end of the program's name: `linkfs-plugin-sample` has none.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// How long links hold, in seconds.
const LIFE: u64 = 3600;
/// So many items on a page.
const PAGE: usize = 2;
/// What the folder holds, with the sizes of the files; the last stands in `more`.
const ITEMS: [(&str, &str, Option<u64>); 5] = [
    ("more", "more", None),
    ("f-a", "a", Some(10)),
    ("f-b", " b\\ü?*", Some(20)),
    ("f-c", "c/d", Some(30)),
    ("f-e", "e", Some(40)),
];

/// Asks the proxy for a connection, as every HTTP client does; what comes of it is the proxy's affair.
fn tunnel_to(host: &str) -> io::Result<()> {
    let proxy = std::env::var("http_proxy").expect("a plugin has a proxy");
    let rest = proxy.strip_prefix("http://").expect("an address");
    let (login, address) = rest.split_once('@').expect("a login");
    let login = BASE64_STANDARD.encode(login);
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    )?;
    stream.read_exact(&mut [0; 12])
}

struct Sample {
    flaw: String,
    store: String,
    links: HashMap<String, u32>,
    stats_of_top: u32,
    leak: Vec<Vec<u8>>,
    shares: Vec<Value>,
}

fn main() {
    let program = std::env::args().next().unwrap_or_default();
    let flaw = program.rsplit("linkfs-plugin-").next().unwrap_or_default();
    if flaw == "dies" {
        return;
    }
    let protocols = if flaw == "old" { [2] } else { [1] };
    let name = if flaw == "nameless" { "" } else { "sample" };
    say(&json!({"protocols": protocols, "name": name, "version": "1.0"}));
    let mut lines = io::stdin().lock().lines().map_while(Result::ok);
    let Some(first) = lines.next() else {
        return;
    };
    let configure: Value = serde_json::from_str(&first).expect("a configuration");
    let config = &configure["config"];
    if let Err(error) = check(config, flaw) {
        return say(&json!({"error": error}));
    }
    if flaw == "shows" {
        eprintln!(
            "my token is {}",
            config["token"].as_str().unwrap_or_default()
        );
    }
    let store = config["store"].as_str().unwrap_or_default().to_owned();
    tunnel_to(store.trim_start_matches("http://")).expect("its proxy answers");
    if flaw == "undeclared" {
        tunnel_to("undeclared.example.test:443").expect("its proxy answers");
    }
    let root = if flaw == "rootless" { "" } else { "top" };
    say(&json!({"about": {"root": root, "links_per_call": 10}, "abilities": ["sharing"]}));
    let mut sample = Sample {
        flaw: flaw.to_owned(),
        store,
        links: HashMap::new(),
        stats_of_top: 0,
        leak: Vec::new(),
        shares: Vec::new(),
    };
    for line in lines {
        sample.take(&line);
    }
    if flaw == "lingers" {
        loop {
            std::thread::park();
        }
    }
}

fn say(message: &Value) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{message}")
        .and_then(|()| stdout.flush())
        .ok();
}

fn error(kind: &str, message: &str) -> Value {
    json!({"kind": kind, "message": message})
}

fn check(config: &Value, flaw: &str) -> Result<(), Value> {
    for (key, value) in config.as_object().expect("settings") {
        let is_known = ["store", "token"].contains(&key.as_str());
        if !is_known && flaw == "tells" {
            return Err(error("invalid", &format!("`{key}` is {value}")));
        }
        if !is_known && flaw != "lenient" {
            return Err(error("invalid", &format!("unknown setting `{key}`")));
        }
        if !value.is_string() && flaw != "untyped" {
            return Err(error("invalid", &format!("`{key}` is no text")));
        }
    }
    match flaw {
        "closed" => Err(error("denied", "no")),
        _ => Ok(()),
    }
}

impl Sample {
    fn is(&self, flaw: &str) -> bool {
        self.flaw == flaw
    }

    fn take(&mut self, line: &str) {
        let Ok(question) = serde_json::from_str::<Value>(line) else {
            if self.is("garbage") {
                std::process::exit(1);
            }
            return;
        };
        if !question["cancel"].is_null() {
            if self.is("cancelled") {
                std::process::exit(1);
            }
            return;
        }
        let Some(answer) = self.answer(&question) else {
            return;
        };
        let mut message = match answer {
            Ok(value) => json!({"ok": value}),
            Err(error) => json!({"error": error}),
        };
        message["id"] = question["id"].clone();
        say(&message);
        if self.is("doubles") && question["call"] == "usage" {
            say(&message);
        }
    }

    /// `None` for no answer at all.
    fn answer(&mut self, question: &Value) -> Option<Result<Value, Value>> {
        if self.is("strict") && question.get("linkfs_check_unknown").is_some() {
            return Some(Err(error("invalid", "what is that?")));
        }
        Some(match question["call"].as_str().unwrap_or_default() {
            "list" => self.list(question),
            "stat" => {
                let is_top = question["item"] == "top";
                self.stats_of_top += u32::from(is_top);
                if is_top && self.is("drops") && self.stats_of_top == 7 {
                    return None;
                }
                self.stat(&question["item"])
            }
            "links" => self.links(&question["files"]),
            "usage" if self.is("uses") => Ok(json!({"used": "much"})),
            "usage" => Ok(json!({"used": 100, "total": 1000})),
            "check-share" => match self.is("consents") || possible(&question["terms"]) {
                true => Ok(Value::Null),
                false => Err(error("invalid", "there is no such share")),
            },
            "share" => self.share(question),
            "shares" => {
                let shares = if self.is("unlisted") {
                    Vec::new()
                } else {
                    self.shares.clone()
                };
                Ok(json!({"shares": shares}))
            }
            "unshare" => {
                self.shares.retain(|share| share["id"] != question["share"]);
                Ok(Value::Null)
            }
            "spaces" if self.is("able") => Ok(json!([])),
            "linkfs-check-unknown" if self.is("knows") => Ok(Value::Null),
            _ => {
                if self.is("leaks") {
                    self.leak.push(vec![1; 16 << 10]);
                }
                Err(error("unsupported", "that is not known here"))
            }
        })
    }

    fn id(&self, id: &str) -> String {
        match self.is("forgets") {
            true => format!("{id}-{}", std::process::id()),
            false => id.to_owned(),
        }
    }

    fn item(&self, (id, name, size): (&str, &str, Option<u64>)) -> Value {
        let name = match self.is("lossy") {
            true => name.replace(['\\', 'ü', '/'], "?"),
            false => name.to_owned(),
        };
        match size {
            None => json!({"id": self.id(id), "name": name, "kind": "folder"}),
            Some(_) if self.is("sizeless") => {
                json!({"id": self.id(id), "name": name, "kind": "file"})
            }
            Some(size) => json!({"id": self.id(id), "name": name, "kind": "file", "size": size,
                                 "version": "1"}),
        }
    }

    fn list(&self, question: &Value) -> Result<Value, Value> {
        let folder = question["folder"].as_str().unwrap_or_default();
        let items: Vec<_> = if folder == "top" {
            ITEMS[..4].iter().map(|&item| self.item(item)).collect()
        } else if folder == self.id("more") {
            ITEMS[4..].iter().map(|&item| self.item(item)).collect()
        } else {
            return Err(error("not-found", "no such folder"));
        };
        let start: usize = match question["after"].as_str() {
            Some(after) => after.parse().expect("a token of ours"),
            None => 0,
        };
        let end = items.len().min(start + PAGE);
        let mut page = json!({"items": items[start..end]});
        if end < items.len() {
            page["next"] = json!(end.to_string());
        } else if self.is("endless") {
            page["next"] = json!(items.len().to_string());
        } else if self.is("repeats") {
            page["items"] = json!([&items[start..end], &items[start..end]].concat());
        }
        Ok(page)
    }

    fn stat(&self, id: &Value) -> Result<Value, Value> {
        let item = ITEMS.iter().find(|item| *id == self.id(item.0).as_str());
        let Some(&item) = item else {
            let kind = if self.is("breaks") {
                "broken"
            } else {
                "not-found"
            };
            return Err(error(kind, "no such item"));
        };
        let mut item = self.item(item);
        if self.is("differs") {
            item["version"] = json!("2");
        }
        Ok(item)
    }

    fn links(&mut self, files: &Value) -> Result<Value, Value> {
        let files: Vec<_> = files.as_array().expect("files").iter().collect();
        let mut answers: Vec<_> = files.iter().map(|file| self.link(file)).collect();
        let fails = answers.iter().any(|answer| answer.get("error").is_some());
        if fails && self.is("spreads") {
            return Ok(json!(vec![
                json!({"error": error("not-found", "no")});
                files.len()
            ]));
        }
        if !fails && files.len() > 1 && self.is("fewer") {
            answers.pop();
        }
        if !fails && self.is("reverses") {
            answers.reverse();
        }
        Ok(json!(answers))
    }

    fn link(&mut self, file: &Value) -> Value {
        let item = ITEMS.iter().find(|item| *file == self.id(item.0).as_str());
        let Some((id, _, Some(size))) = item else {
            return json!({"error": error("not-found", "no such file")});
        };
        let count = self.links.entry((*id).to_owned()).or_default();
        *count += 1;
        let valid_for_ms = match self.flaw.as_str() {
            "promises" => 2 * LIFE * 1000,
            "shrinks" if *count > 2 => 1000,
            _ => LIFE * 1000,
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it is later");
        let kind = if self.is("whole") { "whole" } else { "range" };
        let url = format!(
            "{}/{kind}/{size}?Expires={}",
            self.store,
            now.as_secs() + LIFE
        );
        json!({"ok": {"urls": [url], "valid_for_ms": valid_for_ms}})
    }

    fn share(&mut self, question: &Value) -> Result<Value, Value> {
        let share = json!({"id": "s-1", "name": "share", "items": question["items"],
            "url": "https://share.example.test/s-1", "terms": question["terms"], "state": "open"});
        self.shares.push(share.clone());
        Ok(share)
    }
}

fn possible(terms: &Value) -> bool {
    terms["valid_for_ms"] != 0 && terms["audience"]["members"].is_null()
}
