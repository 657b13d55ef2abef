use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use axum::Router;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::connection::{BreakableListener, Connection};

/// Threads that serve ports. Dropping it closes the ports and every connection, at once.
#[derive(Debug)]
pub(crate) struct Server {
    /// Taken when the server stops.
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn new(threads: usize, name: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    pub(crate) fn serve(&self, listener: TcpListener, router: Router) -> io::Result<()> {
        let runtime = self
            .runtime
            .as_ref()
            .expect("the runtime is there until the end");
        let _guard = runtime.enter();
        let listener = BreakableListener::new(listener)?;
        let service = router.into_make_service_with_connect_info::<Connection>();
        // The runtime owns the task and everything it spawns, and ends them with itself.
        runtime.spawn(async move { axum::serve(listener, service).await });
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where a test drops the emulator inside its own runtime.
            runtime.shutdown_background();
        }
    }
}

/// A port of this machine that no connection gets into, for as long as it is held: bound, so that nobody else is
/// given its number, and not listening.
pub(crate) fn closed_port() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(socket)
}
