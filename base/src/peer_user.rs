//! The user of the process at the other end of a Unix socket.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

/// Checks that the process at the other end of a connected Unix socket is of the user of this process, or of root
/// (`SO_PEERCRED`, unix(7)).
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] for another user; the socket is not connected.
pub fn check_peer_user(socket: impl AsFd) -> io::Result<()> {
    let peer = socket_peercred(socket)?.uid;
    if peer == geteuid() || peer.is_root() {
        return Ok(());
    }
    let text = format!("a process of user {} is refused", peer.as_raw());
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}
