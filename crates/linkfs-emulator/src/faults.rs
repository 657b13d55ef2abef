use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// One line of a fault script: which calls, and what happens to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The endpoint's name as counted (`list`, `download`, `session.refresh`, ...) or its first
    /// part for the whole family (`session`); `data` for the object store; `any` for all.
    pub call: String,
    /// Only calls that name this file or folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The first of the matching calls that is hit, counted from 1 since the rule was added.
    #[serde(default = "first")]
    pub from: u64,
    /// How many calls are hit; without a number, all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    pub action: Action,
}

/// What goes wrong. On the control port: `{"do": "cut_body", "at": 100}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// An HTTP status instead of the answer; without a body, one that fits the port is made up.
    Status {
        code: u16,
        #[serde(default)]
        retry_after: Option<RetryAfter>,
        #[serde(default)]
        body: Option<String>,
    },
    /// HTTP 200 with the drive's own error code.
    DriveError {
        code: u64,
        #[serde(default)]
        message: String,
    },
    /// For calls with several ids: this error code for each id of the rule (all ids without one).
    ItemError {
        code: u64,
        #[serde(default)]
        message: String,
    },
    /// For calls with several ids: no entry for the rule's file (for all without one).
    DropItem,
    /// A call with several ids answers them in reverse order.
    ReverseItems,
    /// The connection is reset before the first byte of the answer.
    CloseConnection,
    /// The connection is closed once `at` bytes of this body are out.
    CutBody {
        at: u64,
    },
    /// The connection is reset once `at` bytes of this body are out.
    ResetBody {
        at: u64,
    },
    /// A complete answer with a body of only `at` bytes: the headers promise no more.
    ShortBody {
        at: u64,
    },
    /// The header claims bytes `shift` further on than those that were asked for and are sent.
    WrongContentRange {
        shift: i64,
    },
    /// The header is right and the bytes are those `shift` further on.
    ShiftedBytes {
        shift: i64,
    },
    /// The header gives another size of the whole object.
    WrongTotal {
        by: i64,
    },
    WrongEtag {
        etag: String,
    },
    /// 200 and the whole object to a range request.
    IgnoreRange,
    /// 200 with something that is neither JSON nor the object; without a body, an HTML page.
    Garbage {
        #[serde(default)]
        body: Option<String>,
    },
    /// A listing hands out the cursor it was asked with.
    RepeatCursor,
    /// A listing answers no items and a cursor that goes on from the same place.
    EmptyPageWithCursor,
    /// No answer until [`Faults::release`], or until the client goes away.
    NeverAnswer,
    Delay {
        ms: u64,
    },
    SlowBody {
        bytes_per_second: u64,
    },
    /// The body comes in pieces of `bytes`, with a pause before each.
    DripBody {
        bytes: u64,
        pause_ms: u64,
    },
    /// The body stops for good once `at` bytes are out, and the connection stays open.
    StallBody {
        at: u64,
    },
    /// When `at` bytes of this body are out the object is replaced by generated content; this body
    /// goes on with the old bytes, as object stores do. `size` is the old one unless given.
    ReplaceObject {
        at: u64,
        #[serde(default)]
        size: Option<u64>,
    },
    /// The rule's file, or every file the call names, goes to the recycle bin, or away for good,
    /// before the call is answered.
    DeleteFile {
        #[serde(default)]
        for_good: bool,
    },
    /// All links signed so far are refused from here on, this call included.
    RevokeLinks,
    /// Adds a redirect: the answer is 302 to this address.
    Redirect {
        to: String,
    },
}

/// The two forms of a `Retry-After` header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    Seconds(u64),
    /// As a date, this many seconds ahead of the drive's clock.
    DateIn(u64),
    /// As written.
    Text(String),
}

/// The fault script. Clones share it; rules act in the order in which they were added, and a call
/// that several rules match suffers from all of them.
#[derive(Clone, Debug)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Armed>>>,
    releases: watch::Sender<u64>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    matched: u64,
    hits: u64,
}

/// An action that strikes a call, with the file its rule was about.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) file: Option<String>,
    pub(crate) action: Action,
}

impl Strike {
    /// Whether a strike on a call with several ids is about this one.
    pub(crate) fn concerns(&self, id: &str) -> bool {
        self.file.as_ref().is_none_or(|file| file == id)
    }
}

impl Rule {
    /// A rule for every call of an endpoint; narrow it with the other methods.
    pub fn on(call: &str, action: Action) -> Self {
        Self {
            call: call.into(),
            file: None,
            from: 1,
            times: None,
            action,
        }
    }

    /// Only calls that name this file.
    pub fn file(self, id: &str) -> Self {
        Self {
            file: Some(id.into()),
            ..self
        }
    }

    /// The `n`-th matching call only, counted from 1.
    pub fn nth(self, n: u64) -> Self {
        Self {
            from: n,
            times: Some(1),
            ..self
        }
    }

    /// From the `n`-th matching call on.
    pub fn from(self, n: u64) -> Self {
        Self { from: n, ..self }
    }

    /// At most this many calls.
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    fn matches(&self, call: &str, files: &[String]) -> bool {
        let is_file = |file: &String| files.contains(file);
        let rest = call.strip_prefix(self.call.as_str());
        let is_call = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        (self.call == "any" || is_call) && self.file.as_ref().is_none_or(is_file)
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Arc::default(),
            releases: watch::Sender::new(0),
        }
    }
}

impl Faults {
    pub fn add(&self, rule: Rule) {
        self.rules().push(Armed {
            rule,
            matched: 0,
            hits: 0,
        });
    }

    /// Removes all rules and releases the calls that were never to be answered.
    pub fn clear(&self) {
        self.rules().clear();
        self.release();
    }

    /// Lets every call held by [`Action::NeverAnswer`] or [`Action::StallBody`] go on.
    pub fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// How often each rule has struck, in the order of the rules.
    pub fn hits(&self) -> Vec<(Rule, u64)> {
        self.rules()
            .iter()
            .map(|armed| (armed.rule.clone(), armed.hits))
            .collect()
    }

    /// Takes rules from JSON: one rule or an array of rules.
    ///
    /// # Errors
    /// When a rule is malformed; then none is added.
    pub fn add_json(&self, value: Value) -> Result<(), String> {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        let rules = values.into_iter().map(serde_json::from_value);
        let rules: Vec<Rule> = rules
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        rules.into_iter().for_each(|rule| self.add(rule));
        Ok(())
    }

    /// Counts a call against every rule and gives the actions that strike it.
    pub(crate) fn strike(&self, call: &str, files: &[String]) -> Vec<Strike> {
        let mut rules = self.rules();
        let matching = rules
            .iter_mut()
            .filter(|armed| armed.rule.matches(call, files));
        matching.filter_map(Armed::strike).collect()
    }

    /// Waits until the next [`Faults::release`].
    pub(crate) async fn released(&self) {
        let mut releases = self.releases.subscribe();
        // An error means that the emulator is gone, and this task with it.
        let _ = releases.changed().await;
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Armed>> {
        self.rules.lock().expect("fault lock")
    }
}

impl Armed {
    fn strike(&mut self) -> Option<Strike> {
        self.matched += 1;
        let is_early = self.matched < self.rule.from;
        if is_early || self.rule.times.is_some_and(|times| self.hits >= times) {
            return None;
        }
        self.hits += 1;
        Some(Strike {
            file: self.rule.file.clone(),
            action: self.rule.action.clone(),
        })
    }
}

fn first() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(rule: Rule, expected: &str) {
        let faults = Faults::default();
        faults.add(rule);
        let strike = |_| {
            if faults.strike("list", &["a".into()]).is_empty() {
                '.'
            } else {
                'x'
            }
        };
        assert_eq!((0..5).map(strike).collect::<String>(), expected);
    }

    #[test]
    fn rules_strike_the_calls_they_name() {
        let rule = || Rule::on("list", Action::CloseConnection);
        check(rule(), "xxxxx");
        check(rule().nth(2), ".x...");
        check(rule().from(3), "..xxx");
        check(rule().from(2).times(2), ".xx..");
        check(rule().file("a"), "xxxxx");
        check(rule().file("b"), ".....");
        check(Rule::on("lis", Action::CloseConnection), ".....");
        check(Rule::on("detail", Action::CloseConnection), ".....");
        check(Rule::on("any", Action::CloseConnection).times(1), "x....");
    }

    #[test]
    fn scripts_are_read_from_json_all_or_none() {
        let faults = Faults::default();
        let good = json!({"call": "data", "action": {"do": "cut_body", "at": 9}, "times": 1});
        let bad = json!({"call": "data", "action": {"do": "explode"}});
        assert!(faults.add_json(json!([good, bad])).is_err());
        assert!(faults.hits().is_empty());
        faults.add_json(good).unwrap();
        assert_eq!(
            faults.hits()[0].0,
            Rule::on("data", Action::CutBody { at: 9 }).times(1)
        );
    }
}
