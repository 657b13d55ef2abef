//! A network of a plugin's own: a loopback with its proxy, and nothing else. Landlock knows ports, not addresses;
//! here there is no other machine at which the proxy's port could be tried.

use std::ffi::{c_char, c_short};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;
use tokio::sync::oneshot;

/// It lasts as long as somebody has it.
#[derive(Clone, Debug)]
pub struct Network(Arc<OwnedFd>);

impl Network {
    /// A new one, and a port in it.
    ///
    /// # Errors
    /// `EPERM` for who is not root; what the kernel says.
    pub(crate) async fn new() -> io::Result<(Network, TcpListener)> {
        let (made, making) = oneshot::channel();
        // A thread that has gone there does not come back.
        thread::Builder::new()
            .name("network".to_owned())
            .spawn(|| {
                // Nobody asks any more when the start was given up.
                let _nobody_asks = made.send(make());
            })?;
        let made = making.await;
        made.map_err(|_died| io::Error::other("the thread that makes it died"))?
    }

    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether there can be one. It is tried once.
pub(crate) fn is_available() -> bool {
    static IS_AVAILABLE: OnceLock<bool> = OnceLock::new();
    *IS_AVAILABLE.get_or_init(|| thread::spawn(make).join().is_ok_and(|made| made.is_ok()))
}

/// Takes the calling thread to a new network.
fn make() -> io::Result<(Network, TcpListener)> {
    // SAFETY: the network alone is this thread's own from here on; descriptors and memory stay shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET)? };
    raise_loopback()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let namespace = File::open("/proc/thread-self/ns/net")?;
    Ok((Network(Arc::new(namespace.into())), listener))
}

fn raise_loopback() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: libc::IFF_UP as c_short,
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as c_char;
    }
    // SAFETY: the request is whole and lives through the call.
    let raised = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    match raised {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn nobody_outside_reaches_what_listens_in_it() {
        if !is_available() {
            return eprintln!("!!! SKIPPED: it takes root");
        }
        let (_network, listener) = Network::new().await.unwrap();
        let address = listener.local_addr().unwrap();
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
