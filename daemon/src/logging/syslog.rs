//! Sends lines to the syslog daemon as syslog(3) does: one datagram per line (RFC 3164 without the host
//! name, which a local daemon knows).

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use chrono::Local;
use log::Level;

use super::target::Facility;

/// The socket of the syslog daemon.
const SOCKET: &str = "/dev/log";
/// Longest line, in bytes; longer ones are truncated, as syslog daemons do.
const LINE_MAX: usize = 8 << 10;

/// An unconnected socket: each line reaches the daemon even after a restart of it.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    facility: Facility,
    /// Program and process, as in `tnv-tracker[123]`.
    tag: String,
}

impl Syslog {
    pub(super) fn open(facility: Facility) -> io::Result<Syslog> {
        Syslog::at(Path::new(SOCKET), facility)
    }

    pub(super) fn at(path: &Path, facility: Facility) -> io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        // A syslog daemon that hangs loses lines and does not block this process.
        socket.set_nonblocking(true)?;
        Ok(Syslog {
            socket,
            path: path.to_owned(),
            facility,
            tag: format!("{}[{}]", program(), std::process::id()),
        })
    }

    /// Sends a line without line feed.
    pub(super) fn send(&self, level: Level, line: &str) -> io::Result<()> {
        let priority = u16::from(self.facility.number()) * 8 + severity(level);
        let time = Local::now().format("%b %e %H:%M:%S");
        let text = format!("<{priority}>{time} {}: {line}", self.tag);
        let end = text.floor_char_boundary(LINE_MAX);
        match self.socket.send_to(&text.as_bytes()[..end], &self.path) {
            Err(e) if e.kind() == ErrorKind::Interrupted => self.send(level, line),
            sent => sent.map(drop),
        }
    }
}

/// RFC 3164, 4.1.1.
fn severity(level: Level) -> u16 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_name);
    name.map_or_else(
        || "tnv".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_bears_priority_time_and_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::at(&path, Facility::DAEMON).unwrap();
        let mut buffer = vec![0; 2 * LINE_MAX];
        let mut next = || {
            let len = daemon.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..len].to_vec()).unwrap()
        };
        syslog.send(Level::Warn, "tracker: lost").unwrap();
        let line = next();
        assert!(line.starts_with("<28>"), "{line}");
        let end = format!("[{}]: tracker: lost", std::process::id());
        assert!(line.ends_with(&end), "{line}");
        assert_eq!(line.as_bytes()[4 + 15], b' ', "{line}");
        syslog.send(Level::Info, &"ä".repeat(LINE_MAX)).unwrap();
        assert!(next().len() <= LINE_MAX);
    }

    #[test]
    fn a_daemon_that_comes_back_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::at(&path, Facility::DAEMON).unwrap();
        assert!(syslog.send(Level::Info, "lost").is_err());
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.send(Level::Info, "heard").unwrap();
        assert!(daemon.recv(&mut [0; 256]).unwrap() > 0);
    }
}
