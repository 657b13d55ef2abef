use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::misdeed::Misdeed;

/// The folder that is mounted.
const TOP: &str = "top";

/// The drive as it should be.
pub(crate) struct Drive {
    config: Config,
    state_dir: PathBuf,
}

/// Its section of the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the bytes are: `ENDPOINT/file-7?until=MILLISECONDS`.
    endpoint: String,
    /// How many files there are, and how long each is.
    files: u64,
    size: u64,
    /// How long a link holds.
    valid_for_ms: u64,
    /// Something that nobody may see.
    token: String,
}

#[derive(Deserialize)]
struct Configure {
    config: Config,
    state_dir: PathBuf,
}

impl Drive {
    pub(crate) fn configured(line: &Value) -> io::Result<Drive> {
        // What is wrong could be a secret.
        let configure: Configure = Deserialize::deserialize(line)
            .map_err(|_| io::Error::other("the configuration cannot be read"))?;
        Ok(Drive {
            config: configure.config,
            state_dir: configure.state_dir,
        })
    }

    /// The second line.
    pub(crate) fn ready(&self) -> Value {
        json!({"about": {"root": TOP, "links_per_call": 1, "calls_in_flight": 8}})
    }

    /// What it is to do wrong now.
    pub(crate) fn misdeed(&self) -> Option<Misdeed> {
        let word = fs::read_to_string(self.state_dir.join("misbehave")).ok()?;
        Misdeed::called(word.trim())
    }

    pub(crate) fn token(&self) -> &str {
        &self.config.token
    }

    /// The right answer to a question.
    pub(crate) fn answer(&self, id: u64, question: &Value) -> Value {
        match self.value(question) {
            Ok(value) => json!({"id": id, "ok": value}),
            Err(error) => json!({"id": id, "error": error}),
        }
    }

    fn value(&self, question: &Value) -> Result<Value, Value> {
        match question["call"].as_str().unwrap_or_default() {
            "list" if question["folder"] == TOP => {
                let items: Vec<_> = (0..self.config.files).map(|file| self.item(file)).collect();
                Ok(json!({ "items": items }))
            }
            "stat" => Ok(self.item(self.file(&question["item"])?)),
            "links" => {
                let files = question["files"].as_array().into_iter().flatten();
                let links = files.map(|file| match self.file(file) {
                    Ok(file) => json!({"ok": self.link(&format!("file-{file}"))}),
                    Err(error) => json!({ "error": error }),
                });
                Ok(links.collect())
            }
            "usage" => Ok(json!({"used": self.config.files * self.config.size})),
            _ => Err(json!({"kind": "unsupported", "message": "not here"})),
        }
    }

    fn item(&self, file: u64) -> Value {
        let id = format!("file-{file}");
        json!({"id": id, "name": format!("{id}.bin"), "kind": "file", "size": self.config.size, "version": "1"})
    }

    fn file(&self, id: &Value) -> Result<u64, Value> {
        let number = id.as_str().and_then(|id| id.strip_prefix("file-"));
        let number = number.and_then(|number| number.parse().ok());
        let gone = || json!({"kind": "not-found", "message": "there is no such file"});
        number
            .filter(|file| *file < self.config.files)
            .ok_or_else(gone)
    }

    /// A link to what the server calls `name`.
    pub(crate) fn link(&self, name: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |time| time.as_millis() as u64);
        let (endpoint, valid_for) = (&self.config.endpoint, self.config.valid_for_ms);
        let url = format!("{endpoint}/{name}?until={}", now + valid_for);
        json!({"urls": [url], "valid_for_ms": valid_for})
    }
}
