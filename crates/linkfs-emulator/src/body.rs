use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::Connection;
use crate::counters::OpenStream;
use crate::faults::Strike;
use crate::{Action, Cloud, Content};

/// Bytes produced at a time. Small enough to be reused by the allocator rather than mapped anew,
/// large enough that the cost of a chunk does not show.
const CHUNK: u64 = 64 * 1024;

/// A rate is kept by pieces of a twentieth of a second.
const PIECES_PER_SECOND: u64 = 20;

/// A response body: which bytes, how fast, and what happens on the way.
#[derive(Debug)]
pub(crate) struct BodyPlan {
    pub(crate) content: Content,
    /// Position of the first byte in the content.
    pub(crate) first: u64,
    pub(crate) length: u64,
    /// The file that the bytes are counted for; none on the API port.
    pub(crate) file: Option<String>,
    pub(crate) conduct: Conduct,
}

/// How a body is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conduct {
    cut_at: Option<u64>,
    reset_at: Option<u64>,
    stall_at: Option<u64>,
    replace: Option<(u64, Option<u64>)>,
    drip: Option<(u64, Duration)>,
    pub(crate) bytes_per_second: Option<u64>,
    /// Bytes a second that all bodies share.
    pub(crate) line_rate: Option<u64>,
}

impl Conduct {
    /// Takes from the strikes on a call what concerns its body.
    pub(crate) fn from_strikes(strikes: &[Strike]) -> Self {
        let mut conduct = Self::default();
        for strike in strikes {
            match strike.action {
                Action::CutBody { at } => conduct.cut_at = Some(at),
                Action::ResetBody { at } => conduct.reset_at = Some(at),
                Action::StallBody { at } => conduct.stall_at = Some(at),
                Action::ReplaceObject { at, size } => conduct.replace = Some((at, size)),
                Action::SlowBody { bytes_per_second } => {
                    conduct.bytes_per_second = Some(bytes_per_second.max(1));
                }
                Action::DripBody { bytes, pause_ms } => {
                    conduct.drip = Some((bytes.max(1), Duration::from_millis(pause_ms)));
                }
                _ => {}
            }
        }
        conduct
    }

    /// Bytes of the next piece: never past an event, and small enough for the rate.
    fn piece(&self, sent: u64, length: u64) -> u64 {
        let replace_at = self.replace.map(|(at, _)| at);
        let events = [self.cut_at, self.reset_at, self.stall_at, replace_at];
        let next_event = events.into_iter().flatten().filter(|at| *at > sent).min();
        let end = next_event.unwrap_or(length).min(length);
        let by_rate = self
            .bytes_per_second
            .map_or(CHUNK, |rate| (rate / PIECES_PER_SECOND).max(1));
        let by_drip = self.drip.map_or(CHUNK, |(bytes, _)| bytes);
        (end - sent).min(CHUNK).min(by_rate).min(by_drip)
    }
}

impl BodyPlan {
    /// A body that is all of `bytes`.
    pub(crate) fn whole(bytes: Bytes, conduct: Conduct) -> Self {
        let length = bytes.len() as u64;
        let content = Content::Bytes(bytes);
        Self {
            content,
            first: 0,
            length,
            file: None,
            conduct,
        }
    }

    pub(crate) fn into_body(self, cloud: &Cloud, connection: Connection) -> Body {
        let sending = Sending {
            stream: self.file.is_some().then(|| cloud.counters.open_stream()),
            started: Instant::now(),
            sent: 0,
            cloud: cloud.clone(),
            connection,
            plan: self,
        };
        Body::from_stream(stream::unfold(Some(sending), |sending| async {
            let mut sending = sending?;
            match sending.next().await {
                Ok(None) => None,
                Ok(Some(bytes)) => Some((Ok(bytes), Some(sending))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// A body on its way.
struct Sending {
    plan: BodyPlan,
    cloud: Cloud,
    connection: Connection,
    started: Instant,
    sent: u64,
    /// Held while the body is open, for its drop.
    stream: Option<OpenStream>,
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        self.replace_object();
        self.meet_events().await?;
        if self.sent == self.plan.length {
            return Ok(None);
        }
        let piece = self.plan.conduct.piece(self.sent, self.plan.length);
        self.keep_pace(piece).await;
        let length = usize::try_from(piece).expect("a piece is at most a chunk");
        let bytes = self
            .plan
            .content
            .read(self.plan.first + self.sent, length)?;
        self.sent += piece;
        self.account(piece);
        Ok(Some(bytes))
    }

    /// All that a piece changes is done before it leaves, so that whoever has read the bytes finds
    /// them counted; the last piece is not followed by another call.
    fn account(&mut self, piece: u64) {
        if let Some(file) = &self.plan.file {
            self.cloud.counters.data_bytes(file, piece);
        }
        self.replace_object();
        if self.sent == self.plan.length {
            self.stream = None;
        }
    }

    async fn meet_events(&mut self) -> io::Result<()> {
        let Conduct {
            cut_at,
            reset_at,
            stall_at,
            ..
        } = self.plan.conduct;
        if stall_at == Some(self.sent) {
            self.cloud.faults.released().await;
        }
        if reset_at == Some(self.sent) {
            self.flush().await;
            self.connection.doom();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if cut_at == Some(self.sent) {
            self.flush().await;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn replace_object(&mut self) {
        let sent = self.sent;
        let replace = self.plan.conduct.replace.take_if(|(at, _)| *at <= sent);
        if let (Some((_, size)), Some(file)) = (replace, &self.plan.file) {
            let old_size = self.cloud.tree.node(file).map_or(0, |node| node.size());
            self.cloud
                .tree
                .replace_generated(file, size.unwrap_or(old_size));
        }
    }

    /// An error drops what the connection still buffers, so events wait until it is out.
    async fn flush(&self) {
        let mark = self.connection.flush_mark();
        self.connection.flushed_since(mark).await;
    }

    async fn keep_pace(&self, piece: u64) {
        if let Some((_, pause)) = self.plan.conduct.drip {
            sleep(pause).await;
        }
        if let Some(rate) = self.plan.conduct.bytes_per_second {
            let due = Duration::from_secs_f64(self.sent as f64 / rate as f64);
            sleep_until(self.started + due).await;
        }
        if let Some(rate) = self.plan.conduct.line_rate {
            self.cloud.line.pass(piece, rate).await;
        }
    }
}
