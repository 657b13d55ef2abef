use std::io;

use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::LONGEST_LINE;

/// A message as it is written.
///
/// # Errors
/// When a part of it has no form in JSON, like a path that is not UTF-8.
pub fn line(message: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(message)?;
    text.push(b'\n');
    Ok(text)
}

/// The next line, `None` at the end; what stands there without an end is no line.
///
/// # Errors
/// `InvalidData` for a line of more than [`LONGEST_LINE`] bytes, whose rest is not read.
pub async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    let longest = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    from.take(longest).read_until(b'\n', &mut text).await?;
    match text.last() {
        Some(b'\n') => Ok(Some(text)),
        _ if text.len() < LONGEST_LINE => Ok(None),
        _ => {
            let message = format!("a line of more than {} MiB", LONGEST_LINE >> 20);
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_has_an_end_and_a_greatest_length() {
        let mut text: &[u8] = b"{\"a\":1}\n{\"b\":2}\nno end";
        let mut next = async || read_line(&mut text).await.unwrap();
        assert_eq!(next().await.as_deref(), Some(b"{\"a\":1}\n".as_slice()));
        assert_eq!(next().await.as_deref(), Some(b"{\"b\":2}\n".as_slice()));
        assert_eq!(next().await, None);

        let mut longest = vec![b'x'; LONGEST_LINE];
        let error = read_line(&mut longest.as_slice()).await.unwrap_err();
        assert_eq!(error.to_string(), "a line of more than 32 MiB");
        longest[LONGEST_LINE - 1] = b'\n';
        let read = read_line(&mut longest.as_slice()).await.unwrap();
        assert_eq!(read.unwrap().len(), LONGEST_LINE);
    }
}
