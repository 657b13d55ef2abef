//! What differs between versions of this program: a test makes another version by writing other words, as
//! long as these, over them in a copy of the file.

use std::hint::black_box;

static WORDS: [u8; 48] = *b"mischief-program 1 well                         ";

/// What this file of the program is.
pub(crate) struct Program {
    pub(crate) version: String,
    pub(crate) start: Start,
}

/// How it starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Well,
    /// It ends before it has said anything.
    Die,
    /// It speaks another protocol than linkfs.
    WrongProtocol,
    /// It says that it cannot open the drive.
    Refuse,
}

impl Program {
    pub(crate) fn of_this_file() -> Program {
        // The compiler must not know what is written there.
        let words = String::from_utf8_lossy(black_box(&WORDS));
        let mut words = words.split_whitespace().skip(1);
        let version = words.next().unwrap_or_default().to_owned();
        let start = match words.next().unwrap_or_default() {
            "die" => Start::Die,
            "wrong-protocol" => Start::WrongProtocol,
            "refuse" => Start::Refuse,
            _ => Start::Well,
        };
        Program { version, start }
    }
}
