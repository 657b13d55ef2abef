//! The messages on the wire, as they stand in the transcripts of `tests/wire`: our types write exactly these
//! lines and read them back, and `wire.schema.json` describes them. PLUGINS.md shows no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use linkfs_provider::wire::{
    Answer, Call, Configure, FromHost, Hello, Item, Link, LoginStep, Outcome, Page, Ready,
    Received, Share, SharePage, Space, Task, Usage,
};
use linkfs_provider::{ByteCount, ErrorKind, ItemKind, ProviderError, TaskId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A line of a transcript: who says what.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Linkfs(Box<RawValue>),
    Plugin(Box<RawValue>),
}

impl Line {
    fn text(&self) -> &str {
        let (Line::Linkfs(text) | Line::Plugin(text)) = self;
        text.get()
    }
}

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn transcripts() -> BTreeMap<String, Vec<Line>> {
    let files = fs::read_dir(crate_folder().join("tests/wire")).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (name, lines.collect())
    };
    paths.into_iter().map(read).collect()
}

/// Something that checks a line, of the message that it is.
trait Check {
    /// The whole line is a `T`, `definition` in the schema.
    fn message<T: DeserializeOwned + Serialize>(&self, text: &str, definition: &str);

    /// What stands under `ok` is a `T`, which is read as a `C`.
    fn value<T, C>(&self, call: &str, text: &str)
    where
        T: DeserializeOwned + Serialize + From<C>,
        C: TryFrom<T, Error: std::fmt::Debug>;
}

/// Goes through a transcript as both sides would.
fn walk(lines: &[Line], check: &impl Check) {
    let mut calls = BTreeMap::new();
    for line in lines {
        let text = line.text();
        let fields: Value = serde_json::from_str(text).unwrap();
        match line {
            Line::Linkfs(_) if fields.get("config").is_some() => {
                check.message::<Configure>(text, "Configure");
            }
            Line::Linkfs(_) => {
                check.message::<FromHost>(text, "FromHost");
                if let Ok(FromHost::Request(request)) = serde_json::from_str(text) {
                    calls.insert(request.id, request.call.name());
                }
            }
            Line::Plugin(_) if fields.get("protocols").is_some() => {
                check.message::<Hello>(text, "Hello");
            }
            Line::Plugin(_) if fields.get("id").is_some() => {
                check.message::<Answer>(text, "Answer");
                let answer: Answer = serde_json::from_str(text).unwrap();
                let call = calls.remove(&answer.id).expect("it was asked");
                if let Some(value) = answer.ok {
                    walk_value(call, value.get(), check);
                }
            }
            Line::Plugin(_) => check.message::<Ready>(text, "Ready"),
        }
    }
    assert!(calls.is_empty(), "not answered: {calls:?}");
}

fn walk_value(call: &str, text: &str, check: &impl Check) {
    match call {
        "list" => check.value::<Page, linkfs_provider::Page>(call, text),
        "stat" => check.value::<Item, linkfs_provider::Item>(call, text),
        "links" => check.value::<Links, Links>(call, text),
        "usage" => check.value::<Usage, linkfs_provider::Usage>(call, text),
        "share" | "reshare" => check.value::<Share, linkfs_provider::Share>(call, text),
        "shares" => check.value::<SharePage, linkfs_provider::SharePage>(call, text),
        "accept" => check.value::<Received, linkfs_provider::Received>(call, text),
        "save" | "pack" => check.value::<TaskId, TaskId>(call, text),
        "task" => check.value::<Task, linkfs_provider::Task>(call, text),
        "spaces" => check.value::<Vec<Space>, Vec<Space>>(call, text),
        "begin-login" => check.value::<LoginStep, linkfs_provider::LoginStep>(call, text),
        "recall" | "check-share" | "unshare" | "finish-login" => assert_eq!(text, "null"),
        _ => panic!("an answer to `{call}`"),
    }
}

type Links = Vec<Outcome<Link>>;

/// Read and written again, as the wire's type and by way of the contract's, a line is the same.
struct WrittenAgain;

impl Check for WrittenAgain {
    fn message<T: DeserializeOwned + Serialize>(&self, text: &str, _definition: &str) {
        let message: T = serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
    }

    fn value<T, C>(&self, call: &str, text: &str)
    where
        T: DeserializeOwned + Serialize + From<C>,
        C: TryFrom<T, Error: std::fmt::Debug>,
    {
        self.message::<T>(text, call);
        let value: T = serde_json::from_str(text).unwrap();
        let read = C::try_from(value).expect("it can be");
        assert_eq!(serde_json::to_string(&T::from(read)).unwrap(), text);
    }
}

#[test]
fn what_is_read_from_a_transcript_is_written_the_same() {
    let transcripts = transcripts();
    assert!(transcripts.len() > 20, "{:?}", transcripts.keys());
    for lines in transcripts.values() {
        walk(lines, &WrittenAgain);
    }
}

#[test]
fn links_are_the_same_by_way_of_the_contract() {
    for line in &transcripts()["links"] {
        let Line::Plugin(text) = line else { continue };
        let answer: Answer = serde_json::from_str(text.get()).unwrap();
        let value = answer.ok.unwrap();
        let links: Links = serde_json::from_str(value.get()).unwrap();
        let links = links.into_iter().map(|link| {
            let link: Result<linkfs_provider::Link, ProviderError> = link.into_result();
            Outcome::<Link>::of(link)
        });
        let links: Links = links.collect();
        assert_eq!(serde_json::to_string(&links).unwrap(), value.get());
    }
}

fn schema() -> Value {
    let text = fs::read_to_string(crate_folder().join("wire.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A line is what the schema says.
struct AsDescribed(Value);

impl AsDescribed {
    /// # Errors
    /// What is wrong with it.
    fn check(&self, text: &str, place: &str) -> Result<(), String> {
        let mut schema = self.0.clone();
        let fields = schema.as_object_mut().unwrap();
        fields.remove("anyOf");
        fields.insert("$ref".to_owned(), format!("#/$defs/{place}").into());
        let validator = jsonschema::validator_for(&schema).unwrap();
        let value = serde_json::from_str(text).unwrap();
        validator.validate(&value).map_err(|why| why.to_string())
    }
}

impl Check for AsDescribed {
    fn message<T: DeserializeOwned + Serialize>(&self, text: &str, definition: &str) {
        let checked = self.check(text, definition);
        checked.unwrap_or_else(|why| panic!("{definition}: {why}: {text}"));
    }

    fn value<T, C>(&self, call: &str, text: &str)
    where
        T: DeserializeOwned + Serialize + From<C>,
        C: TryFrom<T, Error: std::fmt::Debug>,
    {
        self.message::<T>(text, &format!("Answers/properties/{call}"));
    }
}

#[test]
fn the_schema_describes_the_transcripts() {
    for lines in transcripts().values() {
        walk(lines, &AsDescribed(schema()));
    }
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let schema = AsDescribed(schema());
    for (place, text) in [
        ("Hello", r#"{"protocols":1,"name":"x","version":"1"}"#),
        ("FromHost", r#"{"call":"usage"}"#),
        ("FromHost", r#"{"id":1,"call":"list"}"#),
        ("FromHost", r#"{"id":-1,"call":"usage"}"#),
        ("Answer", r#"{"ok":null}"#),
        ("Answer", r#"{"id":1,"error":{"kind":"denied"}}"#),
        ("Answers/properties/list", r#"{"items":[{"id":"f"}]}"#),
        (
            "Answers/properties/links",
            r#"[{"ok":{"urls":"https://x.example/"}}]"#,
        ),
    ] {
        assert!(schema.check(text, place).is_err(), "{place}: {text}");
        let is_refused = match place {
            "Hello" => serde_json::from_str::<Hello>(text).is_err(),
            "FromHost" => serde_json::from_str::<FromHost>(text).is_err(),
            "Answer" => serde_json::from_str::<Answer>(text).is_err(),
            "Answers/properties/list" => serde_json::from_str::<Page>(text).is_err(),
            _ => serde_json::from_str::<Links>(text).is_err(),
        };
        assert!(is_refused, "{place}: {text}");
    }
}

/// Every key and every text of a JSON value.
fn words(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                into.insert(key.clone());
                words(value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| words(value, into)),
        Value::String(text) => {
            into.insert(text.clone());
        }
        _ => {}
    }
}

/// The names of fields and of values that a schema knows.
fn names(schema: &Value, into: &mut BTreeSet<String>) {
    let Value::Object(fields) = schema else {
        if let Value::Array(schemas) = schema {
            schemas.iter().for_each(|schema| names(schema, into));
        }
        return;
    };
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => into.extend(properties.keys().cloned()),
            ("const" | "enum", value) => words(value, into),
            _ => {}
        }
        names(value, into);
    }
}

#[test]
fn every_field_and_value_stands_in_some_transcript() {
    let mut shown = BTreeSet::new();
    for line in transcripts().values().flatten() {
        words(&serde_json::from_str(line.text()).unwrap(), &mut shown);
    }
    let mut known = BTreeSet::new();
    names(&schema(), &mut known);
    assert!(known.contains("retry_after_ms") && known.contains("web-document"));
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn plugins_md_shows_lines_of_the_transcripts() {
    let text = fs::read_to_string(crate_folder().join("../../PLUGINS.md")).unwrap();
    let blocks = text.split("```json\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let shown: BTreeSet<&str> = blocks.flat_map(str::lines).collect();
    let transcripts = transcripts();
    let known = transcripts.values().flatten().map(Line::text);
    let known: BTreeSet<&str> = known.collect();
    let wrong: Vec<_> = shown.difference(&known).collect();
    assert!(wrong.is_empty(), "in no transcript: {wrong:#?}");
    for (name, lines) in &transcripts {
        let is_shown = lines.iter().any(|line| shown.contains(line.text()));
        assert!(is_shown, "PLUGINS.md shows nothing of {name}");
    }
}

#[test]
fn a_plugin_may_leave_out_much_and_say_more() {
    let ready: Ready =
        serde_json::from_str(r#"{"about":{"root":"d0","color":"red"},"abilities":["fly"]}"#)
            .unwrap();
    let about = linkfs_provider::About::from(ready.about.unwrap());
    assert_eq!((about.links_per_call, about.calls_in_flight), (1, 1));
    let item = json!({"id": "f", "name": "n", "kind": "file", "size": 3, "modified_ms": 5});
    let read = |item: Value| {
        let item: Item = serde_json::from_value(item).unwrap();
        linkfs_provider::Item::try_from(item)
    };
    let known = read(item.clone()).unwrap();
    assert_eq!(known.kind, ItemKind::File { size: ByteCount(3) });
    assert_eq!(known.version.0, "5-3");
    let mut without_size = item;
    without_size.as_object_mut().unwrap().remove("size");
    assert_eq!(read(without_size).unwrap_err().kind, ErrorKind::Broken);
    let later: FromHost = serde_json::from_str(r#"{"id":1,"call":"fly","to":"moon"}"#).unwrap();
    assert!(matches!(later, FromHost::Request(request) if matches!(request.call, Call::Unknown)));
}
