use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a handler may do to the TCP connection its request came on.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_doomed: AtomicBool,
    /// Counts how often everything written so far was handed to the kernel.
    flushes: watch::Sender<u64>,
}

impl Connection {
    /// The next write resets the connection instead: the client sees no clean end.
    pub(crate) fn doom(&self) {
        self.0.is_doomed.store(true, Ordering::SeqCst);
    }

    /// A point in time that [`Connection::flushed_since`] measures from.
    pub(crate) fn flush_mark(&self) -> u64 {
        *self.0.flushes.borrow()
    }

    /// Waits until all that was produced before is in the kernel's hands.
    pub(crate) async fn flushed_since(&self, mark: u64) {
        let mut flushes = self.0.flushes.subscribe();
        // The sender lives as long as the connection; without one there is nothing to wait for.
        let _ = flushes.wait_for(|count| *count > mark).await;
    }
}

/// Accepts connections whose handlers can break them.
#[derive(Debug)]
pub(crate) struct BreakableListener(TcpListener);

impl BreakableListener {
    /// Takes a bound listener; must run inside the runtime that will serve it.
    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(TcpListener::from_std(listener)?))
    }
}

impl Listener for BreakableListener {
    type Io = BreakableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for an acknowledgement of the headers before them.
        let _ = stream.set_nodelay(true);
        let shared = Shared {
            is_doomed: AtomicBool::new(false),
            flushes: watch::Sender::new(0),
        };
        let connection = Connection(Arc::new(shared));
        (BreakableStream { stream, connection }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, BreakableListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, BreakableListener>) -> Self {
        stream.io().connection.clone()
    }
}

#[derive(Debug)]
pub(crate) struct BreakableStream {
    stream: TcpStream,
    connection: Connection,
}

impl BreakableStream {
    fn check_doom(&self) -> io::Result<()> {
        if !self.connection.0.is_doomed.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Closing with a linger of zero sends RST rather than FIN.
        self.stream.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Drop for BreakableStream {
    fn drop(&mut self) {
        // The doom may come after the last write; the error is for the writer alone.
        let _ = self.check_doom();
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_doom()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_doom()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_doom()?;
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.connection.0.flushes.send_modify(|count| *count += 1);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_doom()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
