use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::Secret;

/// How many characters of a drive's own words a message repeats.
const MESSAGE_LENGTH: usize = 200;

/// How many renewed tokens are remembered. Only those of calls still under way can come back in a
/// message, and there is seldom more than one.
const RECENT: usize = 16;

/// Takes our secrets out of what the drive says before a person or a log sees it.
#[derive(Debug, Default)]
pub struct Redactor {
    fixed: Vec<Secret<String>>,
    recent: Mutex<VecDeque<Secret<String>>>,
}

impl Redactor {
    /// Knows the secrets of the settings.
    pub fn new(fixed: Vec<Secret<String>>) -> Self {
        Redactor {
            fixed,
            recent: Mutex::default(),
        }
    }

    /// Learns a secret that the drive gave.
    pub fn learn(&self, secret: &str) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_front(Secret::new(secret.to_owned()));
        recent.truncate(RECENT);
    }

    /// `text` in one line, without secrets and addresses, cut to a length for people.
    pub fn clean(&self, text: &str) -> String {
        let text = self.hide(text);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words = words.filter(|word| !word.is_empty());
        let shown: Vec<&str> = words.map(without_address).collect();
        shown.join(" ").chars().take(MESSAGE_LENGTH).collect()
    }

    /// `text` without secrets.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = self.fixed.iter().chain(recent.iter());
        let mut secrets: Vec<&str> = secrets.map(|secret| secret.expose().as_str()).collect();
        // The longer first: what begins with another secret would leave its end behind.
        secrets.sort_by_key(|secret| Reverse(secret.len()));
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "?");
        }
        text
    }
}

/// An address may be signed: its query is a key.
fn without_address(word: &str) -> &str {
    if word.contains("://") {
        "(address)"
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, shown: &str) {
        let redactor = Redactor::new(vec![Secret::new("hunter2".into())]);
        redactor.learn("tok-1");
        assert_eq!(redactor.clean(text), shown);
    }

    #[test]
    fn secrets_and_addresses_are_taken_out() {
        check("token is expired", "token is expired");
        check("bad password hunter2!", "bad password ?!");
        check("Bearer tok-1 refused", "Bearer ? refused");
        check("see https://h/x?X-Sig=1 now", "see (address) now");
        check("two\r\nlines\u{1b}[0m", "two lines [0m");
    }

    #[test]
    fn a_secret_that_begins_with_another_goes_as_a_whole() {
        let redactor = Redactor::new(vec![Secret::new("fake-1".into())]);
        redactor.learn("fake-1.next");
        assert_eq!(redactor.clean("fake-1.next after fake-1"), "? after ?");
    }

    #[test]
    fn long_text_is_cut_after_it_is_cleaned() {
        let redactor = Redactor::new(vec![Secret::new("hunter2".into())]);
        let text = format!("{} hunter2", "é".repeat(195));
        let shown = redactor.clean(&text);
        assert_eq!(shown, format!("{} ?", "é".repeat(195)));
        assert_eq!(redactor.clean(&"x".repeat(999)).len(), 200);
    }
}
