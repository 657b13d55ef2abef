//! A plugin for tests: a tiny drive that behaves, and misbehaves when it is told to.
//!
//! It is written against the words of the protocol and shares no code with what it talks to. The drive is one
//! folder of made-up files, whose bytes a server of the test gives. What it does wrong is the word in the file
//! `misbehave` of its state folder, which may come and go while it runs; what it does before it knows that
//! folder is written into the program itself, see `program`.

mod drive;
mod misdeed;
mod program;

use std::env;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use drive::Drive;
use misdeed::Misdeed;
use program::{Program, Start};
use serde_json::{Value, json};

/// How often is looked whether answers that are held back may go.
const LOOK: Duration = Duration::from_millis(10);
/// So many answers come in the wrong order.
const OUT_OF_ORDER: usize = 3;

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(misdeed::LINGER) {
        misdeed::stay();
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mischief: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let program = Program::of_this_file();
    if program.start == Start::Die {
        return Err(io::Error::other("it does not feel like it"));
    }
    let protocol = match program.start {
        Start::WrongProtocol => 77,
        _ => 1,
    };
    say(&json!({"protocols": [protocol], "name": "mischief", "version": program.version}))?;
    let lines = lines_of_stdin();
    let Ok(configure) = lines.recv() else {
        return Ok(());
    };
    let drive = Drive::configured(&configure)?;
    if program.start == Start::Refuse {
        let error = json!({"kind": "denied", "message": "this version cannot open the drive"});
        return say(&json!({ "error": error }));
    }
    say(&drive.ready())?;
    answer_all(&drive, &lines)?;
    if drive.misdeed() == Some(Misdeed::IgnoreEnd) {
        misdeed::stay();
    }
    Ok(())
}

/// Each line as it comes, until stdin ends.
fn lines_of_stdin() -> Receiver<Value> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(value) = serde_json::from_str(&line) else {
                continue;
            };
            if sender.send(value).is_err() {
                return;
            }
        }
    });
    lines
}

fn answer_all(drive: &Drive, lines: &Receiver<Value>) -> io::Result<()> {
    let mut held: Vec<Value> = Vec::new();
    loop {
        let misdeed = drive.misdeed();
        let is_time = match misdeed {
            Some(Misdeed::HoldBack) => false,
            Some(Misdeed::AnswerOutOfOrder) => held.len() >= OUT_OF_ORDER,
            _ => true,
        };
        if is_time {
            held.drain(..).rev().try_for_each(|answer| say(&answer))?;
        }
        let line = match lines.recv_timeout(LOOK) {
            Ok(line) => line,
            // Who asks alone would wait for the others for ever.
            Err(RecvTimeoutError::Timeout) if misdeed != Some(Misdeed::HoldBack) => {
                held.drain(..).rev().try_for_each(|answer| say(&answer))?;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Some(id) = line["id"].as_u64() else {
            // Nobody waits for an answer any more: it comes all the same.
            continue;
        };
        // It may have been told while it waited for the question.
        match drive.misdeed() {
            Some(Misdeed::HoldBack | Misdeed::AnswerOutOfOrder) => {
                held.push(drive.answer(id, &line))
            }
            Some(misdeed) => misdeed.commit(drive, id, &line)?,
            None => say(&drive.answer(id, &line))?,
        }
    }
}

fn say(message: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{message}")?;
    stdout.flush()
}
