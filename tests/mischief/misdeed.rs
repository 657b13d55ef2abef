use std::env;
use std::io::{self, BufWriter, Write};
use std::process::{Command, exit};
use std::thread;

use serde_json::{Value, json};

use crate::drive::Drive;
use crate::say;

/// The argument of a process that only stays.
pub(crate) const LINGER: &str = "linger";

/// How much a flood is: 10 GB.
const FLOOD: u64 = 10_000_000_000;
const HUGE_PAGE: u64 = 1_000_000;

/// Something that no plugin should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    DieInMidAnswer,
    AnswerTwice,
    /// This one is allowed.
    AnswerOutOfOrder,
    /// The answers come when this is over.
    HoldBack,
    NeverAnswer,
    EndlessLine,
    EndlessLines,
    EndlessErrors,
    InvalidUtf8,
    Rubbish,
    LeaveAChild,
    IgnoreEnd,
    ShowToken,
    LinkToAnother,
    HugePage,
    NoSize,
    EndlessPages,
}

impl Misdeed {
    pub(crate) fn called(word: &str) -> Option<Misdeed> {
        Some(match word {
            "die-in-mid-answer" => Misdeed::DieInMidAnswer,
            "answer-twice" => Misdeed::AnswerTwice,
            "answer-out-of-order" => Misdeed::AnswerOutOfOrder,
            "hold-back" => Misdeed::HoldBack,
            "never-answer" => Misdeed::NeverAnswer,
            "endless-line" => Misdeed::EndlessLine,
            "endless-lines" => Misdeed::EndlessLines,
            "endless-errors" => Misdeed::EndlessErrors,
            "invalid-utf-8" => Misdeed::InvalidUtf8,
            "rubbish" => Misdeed::Rubbish,
            "leave-a-child" => Misdeed::LeaveAChild,
            "ignore-end" => Misdeed::IgnoreEnd,
            "show-token" => Misdeed::ShowToken,
            "link-to-another" => Misdeed::LinkToAnother,
            "huge-page" => Misdeed::HugePage,
            "no-size" => Misdeed::NoSize,
            "endless-pages" => Misdeed::EndlessPages,
            _ => return None,
        })
    }

    /// Answers a question as it should not be answered.
    pub(crate) fn commit(self, drive: &Drive, id: u64, question: &Value) -> io::Result<()> {
        let right = drive.answer(id, question);
        let is_list = question["call"] == "list";
        match self {
            Misdeed::DieInMidAnswer => {
                let text = right.to_string();
                write(&text.as_bytes()[..text.len() / 2])?;
                exit(3)
            }
            Misdeed::AnswerTwice => {
                say(&right)?;
                say(&right)
            }
            Misdeed::NeverAnswer => Ok(()),
            Misdeed::EndlessLine => flood(io::stdout(), &[b'x'; 1 << 16]),
            Misdeed::EndlessLines => flood(io::stdout(), &b"{\"id\":0}\n".repeat(4096)),
            Misdeed::EndlessErrors => flood(io::stderr(), &b"it is not my day\n".repeat(4096)),
            Misdeed::InvalidUtf8 => {
                write(format!("{{\"id\":{id},\"ok\":\"").as_bytes())?;
                write(b"\xff\xfe\"}\n")
            }
            Misdeed::Rubbish => write(b"What a nice day!\n"),
            Misdeed::LeaveAChild => {
                leave_a_child();
                exit(3)
            }
            Misdeed::ShowToken => {
                eprintln!("the token is {}, said the plugin", drive.token());
                say(&right)
            }
            Misdeed::LinkToAnother if question["call"] == "links" => {
                let count = question["files"].as_array().map_or(0, Vec::len);
                let link = json!({"ok": drive.link("another")});
                say(&json!({"id": id, "ok": vec![link; count]}))
            }
            Misdeed::HugePage if is_list => say_huge_page(id),
            Misdeed::NoSize if is_list => {
                let item = json!({"id": "x", "name": "x", "kind": "file"});
                say(&json!({"id": id, "ok": {"items": [item]}}))
            }
            Misdeed::EndlessPages if is_list => {
                let mut page = right;
                page["ok"]["items"] = json!([]);
                page["ok"]["next"] = format!("after {id}").into();
                say(&page)
            }
            _ => say(&right),
        }
    }
}

/// A page that nobody could want, one item after the other.
fn say_huge_page(id: u64) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    write!(stdout, "{{\"id\":{id},\"ok\":{{\"items\":[")?;
    for item in 0..HUGE_PAGE {
        let comma = if item == 0 { "" } else { "," };
        write!(
            stdout,
            "{comma}{{\"id\":\"folder-{item}\",\"name\":\"folder-{item}\",\"kind\":\"folder\"}}"
        )?;
    }
    writeln!(stdout, "]}}}}")?;
    stdout.flush()
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

fn flood(mut to: impl Write, drop: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < FLOOD {
        to.write_all(drop)?;
        written += drop.len() as u64;
    }
    Ok(())
}

/// Another process that has our stdout, and stays when we are gone. Where that is not allowed there is none.
fn leave_a_child() {
    let program = env::args_os().next().unwrap_or_default();
    let _may_be_forbidden = Command::new(program).arg(LINGER).spawn();
}

pub(crate) fn stay() -> ! {
    loop {
        thread::park();
    }
}
