//! `wire.schema.json`, the messages as a JSON Schema, is made from their types here, so that the two cannot
//! drift apart.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{
    Answer, Configure, FromHost, Hello, Item, Link, LoginStep, Outcome, Page, Ready, Received,
    Share, SharePage, Space, Task, Usage,
};
use crate::TaskId;

/// What `ok` holds in the answer, by the call; where that can be anything, it is not read.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only the form counts")]
struct Answers {
    list: Page,
    stat: Item,
    links: Vec<Outcome<Link>>,
    recall: Value,
    usage: Usage,
    check_share: Value,
    share: Share,
    reshare: Share,
    unshare: Value,
    shares: SharePage,
    accept: Received,
    save: TaskId,
    pack: TaskId,
    task: Task,
    spaces: Vec<Space>,
    begin_login: LoginStep,
    finish_login: Value,
}

fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let messages = [
        reference::<Hello>(&mut generator),
        reference::<Configure>(&mut generator),
        reference::<Ready>(&mut generator),
        reference::<FromHost>(&mut generator),
        reference::<Answer>(&mut generator),
    ];
    let _among_the_definitions = reference::<Answers>(&mut generator);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "linkfs plugin protocol 1",
        "description": "A line between linkfs and a plugin. What `ok` holds in an answer stands in `Answers`, by call.",
        "anyOf": messages,
        "$defs": generator.take_definitions(true),
    });
    without_rust(&mut schema);
    schema
}

fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// Descriptions come from the types' documentation; their links lead nowhere here.
fn without_rust(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" => *text = without_links(text),
                    _ => without_rust(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_rust),
        _ => {}
    }
}

/// ``[`Page`](super::Page)`` becomes `` `Page` ``.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").expect("a link ends");
        plain.push_str(&format!("{before}`{name}`"));
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').expect("its target ends").1,
            None => after,
        };
    }
    plain + rest
}

#[test]
fn the_schema_in_the_file_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire.schema.json");
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("LINKFS_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == made,
        "{} is not what the types are; LINKFS_WRITE_SCHEMA=1 with this test writes it",
        path.display()
    );
}
