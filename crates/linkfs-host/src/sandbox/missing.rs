//! What the running kernel cannot hold a plugin to.

use landlock::ABI;

use super::{access, calls};
use crate::network;

/// Which pieces of the confinement this kernel lacks, in words; empty when all hold.
pub fn missing_pieces() -> Vec<String> {
    missing_on(
        access::kernel_abi(),
        calls::is_available(),
        network::is_available(),
    )
}

fn missing_on(landlock: ABI, has_filter: bool, has_network: bool) -> Vec<String> {
    let mut missing = Vec::new();
    if !has_filter {
        missing.push(
            "no seccomp filter: a plugin can start further programs and open sockets of any kind",
        );
    }
    if landlock == ABI::Unsupported {
        missing.push("no Landlock: a plugin can read and write whatever its user can");
    }
    if landlock == ABI::V1 {
        missing
            .push("Landlock before ABI 2: a plugin cannot move files between folders of its own");
    }
    if landlock >= ABI::V1 && landlock < ABI::V3 {
        missing.push(
            "Landlock before ABI 3: a plugin can empty a system file that its user may write",
        );
    }
    if !has_network {
        missing.push(match landlock < ABI::V4 {
            true => {
                "no network of its own (that takes root), and Landlock before ABI 4: a plugin can connect to any TCP address, not only to its proxy"
            }
            false => {
                "no network of its own (that takes root): a plugin can connect to other machines at the port that its proxy has here"
            }
        });
    }
    if landlock < ABI::V6 && !has_filter {
        missing.push(
            "Landlock before ABI 6: a plugin can signal its user's other processes by any call",
        );
    }
    missing.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(landlock: ABI, has_filter: bool, has_network: bool, words: &[&str]) {
        let missing = missing_on(landlock, has_filter, has_network);
        assert_eq!(missing.len(), words.len(), "{missing:?}");
        for (text, word) in missing.iter().zip(words) {
            assert!(text.contains(word), "{text} lacks {word}");
        }
    }

    #[test]
    fn a_lacking_piece_is_named() {
        check(ABI::V7, true, true, &[]);
        check(ABI::V9, true, true, &[]);
        check(ABI::V4, true, true, &[]);
        check(ABI::V3, true, true, &[]);
        check(ABI::V4, true, false, &["other machines at the port"]);
        check(ABI::V3, true, false, &["any TCP address"]);
        check(ABI::V2, true, true, &["empty a system file"]);
        check(
            ABI::V1,
            true,
            false,
            &["move files", "empty a system file", "any TCP address"],
        );
        check(
            ABI::Unsupported,
            true,
            false,
            &["whatever its user can", "any TCP address"],
        );
        check(ABI::V7, false, true, &["start further programs"]);
        check(ABI::V5, false, true, &["start further programs", "signal"]);
    }
}
