//! What nobody can guess.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};

/// What people can tell apart when they read it out: five bits each.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Text for machines: 128 bits.
///
/// # Errors
/// `Unavailable` when the system gives no randomness.
pub(crate) fn text() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<16>()?))
}

/// A password for people, of `length` letters and digits.
///
/// # Errors
/// As [`text`].
pub(crate) fn code(length: usize) -> Result<Secret<String>> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).map_err(|error| none(&error))?;
    let letters = bytes.iter().map(|byte| LETTERS[usize::from(byte % 32)]);
    Ok(Secret::new(letters.map(char::from).collect()))
}

/// Eight digits that no other share has.
///
/// # Errors
/// As [`text`].
pub(crate) fn nonce() -> Result<String> {
    let bytes = bytes::<4>()?;
    Ok(format!("{:08x}", u32::from_be_bytes(bytes)))
}

fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|error| none(&error))?;
    Ok(bytes)
}

/// The error for a system without randomness.
pub(crate) fn none(error: &aws_lc_rs::error::Unspecified) -> ProviderError {
    let message = format!("the system gives no randomness: {error}");
    ProviderError::new(ErrorKind::Unavailable, message)
}
