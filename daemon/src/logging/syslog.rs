//! The socket of the syslog daemon: one datagram per line.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The socket of the syslog daemon.
const SOCKET: &str = "/dev/log";
/// How long a syslog daemon may keep a line waiting.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// An unconnected socket: each line reaches the daemon even after a restart of it.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Syslog {
    pub(super) fn open() -> io::Result<Syslog> {
        Syslog::at(Path::new(SOCKET))
    }

    pub(super) fn at(path: &Path) -> io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Syslog {
            socket,
            path: path.to_owned(),
        })
    }

    /// Sends the first of these lines. Returns its length with the line feed.
    pub(super) fn send_one(&self, lines: &[u8]) -> io::Result<usize> {
        let line = lines.split(|byte| *byte == b'\n').next().unwrap_or(lines);
        self.socket.send_to(line, &self.path)?;
        Ok(lines.len().min(line.len() + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_comes_back_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::at(&path).unwrap();
        assert!(syslog.send_one(b"lost\n").is_err());
        let daemon = UnixDatagram::bind(&path).unwrap();
        assert_eq!(syslog.send_one(b"heard\nlater\n").unwrap(), 6);
        let mut buffer = [0; 256];
        let len = daemon.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"heard");
    }
}
