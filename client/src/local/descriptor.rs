//! Connecting to the Unix socket of a storage, and receiving descriptors from it.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use base::check_peer_user;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use socket2::{Domain, SockAddr, Socket, Type};

/// Connects to a Unix socket of a process of this user or of root. The rest of the library treats it as a
/// connection of TCP: both are descriptors of stream sockets.
///
/// # Errors
/// Nobody listens there, or a process of another user does.
pub(crate) fn connect(path: &Path, timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, timeout)?;
    check_peer_user(&socket)?;
    Ok(OwnedFd::from(socket).into())
}

/// Receives bytes and the descriptor that comes with them.
#[derive(Debug, Default)]
pub(crate) struct DescriptorReceiver(Option<OwnedFd>);

impl DescriptorReceiver {
    /// Receives bytes that have arrived, as `recv` does with `DONTWAIT`. Keeps a descriptor that comes with
    /// them; others are closed.
    pub(crate) fn receive(
        &mut self,
        stream: &TcpStream,
        buf: &mut [u8],
    ) -> rustix::io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut messages = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut buf = [IoSliceMut::new(buf)];
        let received = recvmsg(stream, &mut buf, &mut messages, flags)?;
        for message in messages.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.0 = descriptors.last();
            }
        }
        Ok(received.bytes)
    }

    /// The file whose descriptor was received latest.
    pub(crate) fn take(&mut self) -> Option<File> {
        self.0.take().map(File::from)
    }
}
