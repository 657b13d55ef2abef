use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// The two ends of the wire, out of reach of everything else in the process: what is printed from now on
/// goes to stderr, and what reads stdin finds its end.
pub(super) struct Stdio {
    pub(super) from_host: Reader,
    pub(super) to_host: Writer,
}

impl Stdio {
    pub(super) fn take() -> io::Result<Stdio> {
        let from_host = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let to_host = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        let nothing = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Stdio {
            from_host: reader(from_host)?,
            to_host: writer(to_host)?,
        })
    }
}

/// A pipe is waited for with all others; a terminal or a file, at which somebody tries a plugin by hand,
/// takes a thread.
fn reader(from: OwnedFd) -> io::Result<Reader> {
    Ok(match is_pipe(&from)? {
        true => Box::new(pipe::Receiver::from_owned_fd(from)?),
        false => Box::new(tokio::fs::File::from_std(from.into())),
    })
}

fn writer(to: OwnedFd) -> io::Result<Writer> {
    Ok(match is_pipe(&to)? {
        true => Box::new(pipe::Sender::from_owned_fd(to)?),
        false => Box::new(tokio::fs::File::from_std(to.into())),
    })
}

fn is_pipe(end: &OwnedFd) -> io::Result<bool> {
    let about = rustix::fs::fstat(end)?;
    Ok(FileType::from_raw_mode(about.st_mode) == FileType::Fifo)
}
