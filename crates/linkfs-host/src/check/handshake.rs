use linkfs_provider::wire::{self, About, Hello, Ready};

use super::bench::Bench;
use super::findings::{Findings, Tried, missing};
use super::promises;
use super::session::Session;

/// Opens the drive as linkfs does; gives whether it is open.
pub(super) async fn check(bench: &mut Bench, findings: &mut Findings<'_>) -> bool {
    let (mut session, hello) = match greet(bench).await {
        Ok(greeted) => greeted,
        Err(doubt) => return findings.note(promises::HELLO, Err(doubt)),
    };
    findings.note(promises::HELLO, Ok(()));
    let speaks = findings.note(promises::PROTOCOL, protocol(&hello));
    findings.note(promises::NAME, names(&hello));
    bench.hello = Some(hello);
    if !speaks {
        session.discard().await;
        return false;
    }
    let ready = open(bench, &mut session).await;
    let opened = ready.as_ref().map(drop).map_err(Clone::clone);
    if !findings.note(promises::OPENS, opened) {
        session.discard().await;
        return false;
    }
    let (about, abilities) = ready
        .map(|ready| (ready.about, ready.abilities))
        .unwrap_or_default();
    bench.abilities = abilities;
    bench.keep(session);
    let is_told = findings.note(promises::ABOUT, about_is_right(about.as_ref()));
    bench.about = about;
    is_told
}

async fn greet(bench: &Bench) -> Tried<(Session, Hello)> {
    let mut session = bench.start().await?;
    match session.hello().await {
        Ok(hello) => Ok((session, hello)),
        Err(doubt) => {
            session.discard().await;
            Err(doubt)
        }
    }
}

fn protocol(hello: &Hello) -> Tried {
    match hello.protocols.contains(&wire::PROTOCOL) {
        true => Ok(()),
        false => {
            let expected = format!("{} in `protocols`", wire::PROTOCOL);
            Err(missing(expected, format!("{:?}", hello.protocols)))
        }
    }
}

fn names(hello: &Hello) -> Tried {
    for (key, text) in [("name", &hello.name), ("version", &hello.version)] {
        if text.trim().is_empty() || text.contains(char::is_control) {
            return Err(missing(format!("a word in `{key}`"), format!("{text:?}")));
        }
    }
    Ok(())
}

async fn open(bench: &Bench, session: &mut Session) -> Tried<Ready> {
    let ready = session.configure(bench.config()).await?;
    match &ready.error {
        None => Ok(ready),
        Some(error) => Err(missing("an open drive", session.shown(error))),
    }
}

fn about_is_right(about: Option<&About>) -> Tried {
    let Some(about) = about else {
        return Err(missing("`about`", "neither `about` nor `error`"));
    };
    if about.root.as_str().is_empty() {
        return Err(missing(
            "the id of the top folder in `root`",
            "an empty one",
        ));
    }
    for (key, number) in [
        ("links_per_call", about.links_per_call),
        ("calls_in_flight", about.calls_in_flight),
    ] {
        if number == 0 {
            return Err(missing(format!("at least 1 in `{key}`"), "0"));
        }
    }
    Ok(())
}
