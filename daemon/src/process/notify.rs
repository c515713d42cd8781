//! Notifies systemd of the state of the daemon (sd_notify(3), `Type=notify` and `Type=notify-reload`).

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use log::warn;
use rustix::time::{ClockId, clock_gettime};

/// The socket of systemd, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<OsString>,
}

impl Notifier {
    /// The socket in NOTIFY_SOCKET.
    pub(crate) fn from_env() -> Notifier {
        Notifier {
            socket: env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
        }
    }

    /// The daemon serves, or has reloaded.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The daemon reads its configuration again.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The daemon stops, which takes up to `limit`; extends the time-out of systemd.
    pub(crate) fn stopping(&self, limit: Duration) {
        let micros = limit.as_micros();
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}"));
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(e) = send(socket, state)
        {
            warn!("systemd was not told {state:?}: {e}");
        }
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let addr = match socket.as_bytes() {
        // An abstract socket.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A lost notification is better than a hanging daemon.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &addr).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(receiver: &UnixDatagram, socket: impl Into<OsString>) -> Vec<String> {
        let notifier = Notifier {
            socket: Some(socket.into()),
        };
        notifier.ready();
        notifier.reloading();
        notifier.stopping(Duration::from_secs(45));
        let mut buffer = [0; 256];
        let mut next = || {
            let len = receiver.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..len].to_vec()).unwrap()
        };
        vec![next(), next(), next()]
    }

    #[test]
    fn systemd_hears_of_it_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("tnv-notify-{}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&addr).unwrap();
        for lines in [
            told(&by_path, path.into_os_string()),
            told(&by_name, format!("@{name}")),
        ] {
            assert_eq!(lines[0], "READY=1");
            assert!(
                lines[1].starts_with("RELOADING=1\nMONOTONIC_USEC="),
                "{lines:?}"
            );
            assert_eq!(lines[2], "STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000");
        }
    }

    #[test]
    fn a_full_socket_is_left_untold_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(&path).unwrap();
        sender.set_nonblocking(true).unwrap();
        while sender.send(b"x").is_ok() {}
        let refused = send(path.as_os_str(), "READY=1").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(receiver);
        let refused = send(path.as_os_str(), "READY=1").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
