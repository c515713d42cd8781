//! The destination of a log: a file, the standard error or syslog.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Stderr, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::LogError;
use super::syslog::Syslog;
use super::target::LogTarget;

/// Mode of log files, which may name clients: others may not read them.
const MODE: u32 = 0o640;

/// An open log. Lines that cannot be written are lost; the first failure after a success is printed to
/// the standard error.
#[derive(Debug)]
pub(super) struct Output {
    device: Device,
    is_failing: bool,
    /// The latest write ended within a line.
    is_torn: bool,
}

#[derive(Debug)]
enum Device {
    File { path: PathBuf, file: File },
    Stderr(Stderr),
    Syslog(Syslog),
}

/// Lines that could not be written.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) lines: u64,
    pub(super) why: io::Error,
}

impl Output {
    /// Opens `target`, or else the standard error. None if lines are discarded.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(target: Option<&LogTarget>) -> Result<Option<Output>, LogError> {
        let device = match target {
            None => Device::Stderr(io::stderr()),
            Some(LogTarget::File(path)) => Device::open(path)?,
            Some(LogTarget::Syslog(_)) => Device::Syslog(Syslog::open().map_err(LogError::Syslog)?),
            Some(LogTarget::Off) => return Ok(None),
        };
        Ok(Some(Output::of(device)))
    }

    fn of(device: Device) -> Output {
        Output {
            device,
            is_failing: false,
            is_torn: false,
        }
    }

    #[cfg(test)]
    pub(super) fn syslog_at(path: &Path) -> Output {
        Output::of(Device::Syslog(Syslog::at(path).expect("a socket")))
    }

    /// Reopens a file by name.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays open.
    pub(super) fn reopen(&mut self) -> Result<(), LogError> {
        if let Device::File { path, .. } = &self.device {
            *self = Output::of(Device::open(path)?);
        }
        Ok(())
    }

    /// True if the latest write failed.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Writes whole lines; first ends a torn line.
    ///
    /// # Errors
    /// The lines that were not written completely.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        if self.is_torn && !lines.is_empty() {
            self.write_some(b"\n", 0)?;
        }
        self.write_some(lines, 0)?;
        self.is_failing = false;
        Ok(())
    }

    /// Writes from `start` on.
    fn write_some(&mut self, bytes: &[u8], mut start: usize) -> Result<(), WriteError> {
        while start < bytes.len() {
            let why = match self.device.write(&bytes[start..]) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(len) => {
                    start += len;
                    self.is_torn = bytes[start - 1] != b'\n';
                    continue;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            self.report(&why);
            let line_ends = bytes[start..].iter().filter(|byte| **byte == b'\n');
            let lines = line_ends.count() as u64;
            return Err(WriteError { lines, why });
        }
        Ok(())
    }

    fn report(&mut self, error: &io::Error) {
        let device = match &self.device {
            Device::File { path, .. } => format!("the log file {}", path.display()),
            Device::Syslog(_) => "syslog".to_owned(),
            Device::Stderr(_) => return,
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            let text = format!("cannot write to {device}: {error}\n");
            drop(io::stderr().write_all(text.as_bytes()));
        }
    }
}

impl Device {
    fn open(path: &Path) -> Result<Device, LogError> {
        let open = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path);
        Ok(Device::File {
            path: path.to_owned(),
            file: open.map_err(|source| LogError::Open {
                path: path.to_owned(),
                source,
            })?,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Device::File { file, .. } => file.write(bytes),
            Device::Stderr(stderr) => stderr.write(bytes),
            Device::Syslog(syslog) => syslog.send_one(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn a_torn_line_is_ended_before_the_next_one() {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let mut output = Output::of(Device::File {
            path: "pipe".into(),
            file: write.into(),
        });
        // More than a pipe takes.
        let long = [&[b'x'; 1 << 20][..], b"\nlost too\n"].concat();
        let lost = output.write(&long).unwrap_err();
        assert_eq!(lost.lines, 2);
        assert_eq!(lost.why.kind(), ErrorKind::WouldBlock);
        assert!(output.is_failing());

        let mut read = File::from(read);
        let mut buffer = vec![0; 2 << 20];
        let torn = read.read(&mut buffer).unwrap();
        assert!(buffer[..torn].iter().all(|byte| *byte == b'x'));
        output.write(b"one\n").unwrap();
        output.write(b"two\n").unwrap();
        assert!(!output.is_failing());
        let len = read.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"\none\ntwo\n");
    }
}
