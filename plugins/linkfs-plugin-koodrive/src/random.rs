use aws_lc_rs::rand;
use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};

/// What access codes are made of.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Bytes from here on would make the first letters likelier than the last.
const FAIR_BELOW: u8 = 248;

/// 32 bits as text: enough to know one share again among those of an account.
///
/// # Errors
/// `Unavailable` when the system gives no randomness.
pub(crate) fn nonce() -> Result<String> {
    let bytes: [u8; 4] = bytes()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An access code of `length` letters and digits.
///
/// # Errors
/// `Unavailable` when the system gives no randomness.
pub(crate) fn code(length: usize) -> Result<Secret<String>> {
    let mut code = String::new();
    while code.len() < length {
        let [byte] = bytes()?;
        if byte < FAIR_BELOW {
            let index = usize::from(byte) % LETTERS.len();
            code.push(char::from(LETTERS[index]));
        }
    }
    Ok(Secret::new(code))
}

fn bytes<const COUNT: usize>() -> Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    rand::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gives no randomness: {error}");
        ProviderError::new(ErrorKind::Unavailable, message)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_use_every_letter_and_differ() {
        let codes = (0..200).map(|_| code(8).unwrap().into_exposed());
        let codes: BTreeSet<String> = codes.collect();
        assert_eq!(codes.len(), 200);
        assert!(codes.iter().all(|code| code.len() == 8));
        // 1600 letters leave out one of 62 once in a hundred thousand million runs.
        let used: BTreeSet<u8> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(used, LETTERS.iter().copied().collect());
    }

    #[test]
    fn nonces_are_eight_hexadecimal_digits() {
        let (one, other) = (nonce().unwrap(), nonce().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 8);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
