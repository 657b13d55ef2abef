use linkfs_provider::TaskId;
use linkfs_provider::wire::{Ability, Call, ErrorKind};
use serde_json::{Value, json};

use super::bench::Bench;
use super::findings::{Findings, Tried, missing};
use super::promises;
use super::session::{Said, Session, kind};

/// So many calls at once, by turns one that the drive is asked for and one that it is not.
const FLOOD: usize = 100;
/// A call that no version of the protocol has.
const UNKNOWN: &str = "linkfs-check-unknown";

pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>) {
    findings.note(promises::UNKNOWN_CALL, unknown_call(bench).await);
    findings.note(promises::ABILITIES, abilities(bench).await);
    findings.note(promises::UNKNOWN_FIELD, unknown_field(bench).await);
    findings.note(promises::CANCEL, cancel(bench).await);
    findings.note(promises::FLOOD, flood(bench).await);
    findings.note(promises::GARBAGE, garbage(bench).await);
}

/// Asks what no plugin knows.
pub(super) fn unknown() -> Value {
    json!({"call": UNKNOWN})
}

async fn unknown_call(bench: &mut Bench) -> Tried {
    let session = bench.session().await?;
    let id = session.send(unknown()).await?;
    let said = session.answer(id).await?;
    is_unsupported(session, said)
}

fn is_unsupported(session: &Session, said: Said) -> Tried {
    let expected = format!("the error {}", kind(ErrorKind::Unsupported));
    match said {
        Err(error) if error.kind == ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(missing(expected, session.shown(&error))),
        Ok(_) => Err(missing(expected, "an answer as if it knew the call")),
    }
}

async fn abilities(bench: &mut Bench) -> Tried {
    let has = bench.abilities.clone();
    let task = TaskId("linkfs-check-no-such-task".to_owned());
    let calls = [
        (Ability::Sharing, Call::Shares { after: None }),
        (Ability::Spaces, Call::Spaces),
        (Ability::Login, Call::BeginLogin),
        (Ability::Receiving, Call::Task { task }),
    ];
    for (ability, call) in calls {
        if !has.contains(&ability) {
            let session = bench.session().await?;
            let said = session.ask(call).await?;
            is_unsupported(session, said)?;
        }
    }
    Ok(())
}

fn list_top(bench: &Bench) -> Value {
    let top = bench.about.as_ref().map(|about| about.root.as_str());
    json!({"call": "list", "folder": top})
}

async fn unknown_field(bench: &mut Bench) -> Tried {
    let mut question = list_top(bench);
    question["linkfs_check_unknown"] = json!({"of": ["a later version"]});
    let session = bench.session().await?;
    let id = session.send(question).await?;
    match session.answer(id).await? {
        Ok(_) => Ok(()),
        Err(error) => Err(missing("the answer as without it", session.shown(&error))),
    }
}

async fn cancel(bench: &mut Bench) -> Tried {
    let question = list_top(bench);
    let session = bench.session().await?;
    let id = session.send(question).await?;
    session.cancel(id).await?;
    // It may have been answered before: anything is an answer.
    let _whatever = session.answer(id).await?;
    // One that is over already may be cancelled too.
    session.cancel(id).await?;
    still_answers(session).await
}

async fn still_answers(session: &mut Session) -> Tried {
    let id = session.send(unknown()).await?;
    session.answer(id).await.map(drop)
}

async fn flood(bench: &mut Bench) -> Tried {
    let top = bench.about.as_ref().map(|about| about.root.as_str());
    let asked = json!({"call": "stat", "item": top});
    let session = bench.session().await?;
    let mut ids = Vec::new();
    for number in 0..FLOOD {
        let question = match number % 2 {
            0 => asked.clone(),
            _ => unknown(),
        };
        ids.push(session.send(question).await?);
    }
    for (done, id) in ids.into_iter().enumerate() {
        // A throttled drive is an answer too.
        if session.answer(id).await.is_err() {
            let came = format!("{done}, and then none");
            return Err(missing(format!("{FLOOD} answers"), came));
        }
    }
    // What is answered twice is seen by now.
    still_answers(session).await
}

async fn garbage(bench: &mut Bench) -> Tried {
    let session = bench.session().await?;
    session.write_line(b"this is no message\n").await?;
    still_answers(session).await
}
