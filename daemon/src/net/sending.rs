//! Sends a reply as far as the peer takes it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpStream;

use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};

use super::protocol::{Outgoing, Part, Sent, Then};

/// One sendfile call moves at most this much, so that a stop or a stalled peer is noticed.
const SENDFILE_STEP: u64 = 2 << 20;
/// Read from a stream at once; also what a stalled peer's connection may hold in memory.
const STREAM_STEP: usize = 128 << 10;
/// After this much a worker looks whether others wait.
const TURN: u64 = 8 << 20;

pub(crate) struct Sending {
    parts: VecDeque<Part>,
    pub(crate) then: Then,
    report: Option<Box<dyn FnOnce(Sent) + Send>>,
    sent: u64,
    complete: bool,
}

/// How far it went. In both cases bytes may have moved.
pub(crate) enum Progress {
    Done,
    Blocked,
    /// Could go on, but has had its turn.
    Turn,
}

impl Sending {
    pub(crate) fn new(outgoing: Outgoing) -> Sending {
        Sending {
            parts: outgoing.parts.into(),
            then: outgoing.then,
            report: outgoing.report,
            sent: 0,
            complete: false,
        }
    }

    /// Bytes that went out so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends until all is out, the peer takes no more, or the turn is over.
    ///
    /// # Errors
    /// The peer is gone, or a part ended before its length.
    pub(crate) fn advance(
        &mut self,
        stream: &TcpStream,
        scratch: &mut [u8],
    ) -> io::Result<Progress> {
        let turn_end = self.sent + TURN;
        while let Some(part) = self.parts.front_mut() {
            if part.is_empty() {
                self.parts.pop_front();
                continue;
            }
            if self.sent >= turn_end {
                return Ok(Progress::Turn);
            }
            let last = self.parts.len() == 1;
            match self.step(stream, scratch, last) {
                Ok(len) => self.sent += len,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Progress::Blocked),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.complete = true;
        Ok(Progress::Done)
    }

    /// One system call's worth of the first part.
    fn step(&mut self, stream: &TcpStream, scratch: &mut [u8], last: bool) -> io::Result<u64> {
        let Some(part) = self.parts.front_mut() else {
            return Ok(0);
        };
        match part {
            Part::Bytes(bytes) => {
                let flags = if last { SendFlags::NOSIGNAL } else { more() };
                let len = send(stream, bytes, flags)?;
                bytes.drain(..len);
                Ok(len as u64)
            }
            Part::File { file, offset, len } => {
                let step = (*len).min(SENDFILE_STEP) as usize;
                let moved = sendfile(stream, &*file, Some(offset), step)? as u64;
                *len -= moved;
                if moved == 0 {
                    return Err(short("file", *len));
                }
                Ok(moved)
            }
            Part::Stream { reader, len } => {
                let room = scratch.len().min(STREAM_STEP) as u64;
                let room = room.min(*len) as usize;
                let read = reader.read(&mut scratch[..room])?;
                if read == 0 {
                    return Err(short("stream", *len));
                }
                *len -= read as u64;
                let flags = if *len == 0 && last {
                    SendFlags::NOSIGNAL
                } else {
                    more()
                };
                self.send_or_keep(stream, &scratch[..read], flags)
            }
        }
    }

    /// Sends bytes that have left their reader already: what the peer does not take goes back to
    /// the front as a part of its own.
    fn send_or_keep(
        &mut self,
        stream: &TcpStream,
        bytes: &[u8],
        flags: SendFlags,
    ) -> io::Result<u64> {
        let sent = match send(stream, bytes, flags) {
            Ok(len) => len,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            Err(e) => return Err(e.into()),
        };
        if sent < bytes.len() {
            self.parts.push_front(Part::Bytes(bytes[sent..].to_vec()));
        }
        Ok(sent as u64)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            report(Sent {
                bytes: self.sent,
                complete: self.complete,
            });
        }
    }
}

impl Part {
    fn is_empty(&self) -> bool {
        match self {
            Part::Bytes(bytes) => bytes.is_empty(),
            Part::File { len, .. } | Part::Stream { len, .. } => *len == 0,
        }
    }
}

/// More is about to follow: the kernel may wait to fill a packet.
fn more() -> SendFlags {
    SendFlags::NOSIGNAL | SendFlags::MORE
}

fn short(what: &str, missing: u64) -> io::Error {
    let text = format!("the {what} ended {missing} bytes early");
    io::Error::new(ErrorKind::UnexpectedEof, text)
}
