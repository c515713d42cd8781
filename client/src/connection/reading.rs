//! Reading a reply: its head and the fields in front of the content within the deadline, content at a
//! minimum rate.

use std::io;

use proto::storage::{FileStat, LOCAL_SOCKET, LocalSocket, OPEN, PassedFile};
use proto::{ErrorCode, Fault, HEAD_LEN, Head};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{Connection, PendingReply};
use crate::time_limits::wait;
use crate::{Error, ProtocolError};

/// Step in which memory for a body grows, as bytes arrive.
const BODY_STEP: usize = 64 << 10;

const READING_REPLY: &str = "reading the reply";
const READING_CONTENT: &str = "reading the content";

impl Connection {
    /// Reads the part of the reply in front of its content that has arrived, without waiting. True if
    /// it is complete or the connection broke: then reading it will not wait.
    pub(crate) fn read_ahead(&mut self) -> bool {
        loop {
            let filled = self.ahead.len();
            let missing = ahead_len(self.command, &self.ahead) - filled;
            if missing == 0 {
                return true;
            }
            let mut bytes = [0; HEAD_LEN + Fault::BODY_MAX];
            match self.receive(&mut bytes[..missing], READING_REPLY) {
                Ok(Some(n)) => self.ahead.extend_from_slice(&bytes[..n]),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Reads the head of a reply and returns the length of the body. A failure reply is read to its
    /// end.
    pub(crate) fn read_head(&mut self, reply_command: u8) -> Result<u64, Error> {
        let mut bytes = [0; HEAD_LEN];
        self.read_exact(&mut bytes)?;
        let head = Head::decode(&bytes);
        if head.command != reply_command {
            return Err(self.protocol_error(ProtocolError::Command {
                actual: head.command,
                expected: reply_command,
            }));
        }
        let Ok(body_len) = u64::try_from(head.body_len) else {
            return Err(self.body_length(head.body_len, "0 or more".to_owned()));
        };
        if head.is_ok() {
            self.note_answer();
            self.is_ours |= is_own_command(self.command);
            self.pending = PendingReply::body(body_len);
            return Ok(body_len);
        }
        Err(self.read_fault(body_len))
    }

    fn read_fault(&mut self, body_len: u64) -> Error {
        self.pending = PendingReply::body(body_len);
        let body = match self.read_body(body_len, Fault::BODY_MAX) {
            Ok(body) => body,
            Err(error) => return error,
        };
        match Fault::decode(&body) {
            Ok(mut source) => {
                if is_cpp_not_found(&source) {
                    source.code = ErrorCode::NotFound;
                    // A C++ server closes the connection behind some of its failures.
                    self.pending = PendingReply::Unknown;
                }
                Error::Fault {
                    address: self.address.clone(),
                    source,
                }
            }
            Err(error) => self.protocol_error(error.into()),
        }
    }

    /// Reads a body of `body_len` bytes. Memory grows with the bytes that arrive.
    pub(crate) fn read_body(&mut self, body_len: u64, body_max: usize) -> Result<Vec<u8>, Error> {
        if body_len > body_max as u64 {
            return Err(self.body_length(body_len, format!("at most {body_max}")));
        }
        let mut body = Vec::new();
        while (body.len() as u64) < body_len {
            let filled = body.len();
            let left = body_len as usize - filled;
            body.resize(filled + left.min(BODY_STEP), 0);
            self.read_exact(&mut body[filled..])?;
        }
        self.advance(body_len);
        Ok(body)
    }

    /// Fills `buf` with the next bytes of the body, within the deadline.
    pub(crate) fn read_part(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        self.read_exact(buf)?;
        self.advance(buf.len() as u64);
        Ok(())
    }

    /// Waits for content from a peer that sends at the minimum rate.
    pub(crate) fn wait_content(&mut self) -> Result<(), Error> {
        let ready = self.stall.wait(&self.stream, PollFlags::IN);
        ready.map_err(|error| self.content_error(READING_CONTENT, error))
    }

    /// Reads the bytes of the body that have arrived, without waiting. `None` if there are none.
    pub(crate) fn read_now(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        let len = usize::try_from(self.body_left()).map_or(buf.len(), |left| left.min(buf.len()));
        if len == 0 {
            return Ok(Some(0));
        }
        match self.receive(&mut buf[..len], READING_CONTENT)? {
            Some(n) => {
                self.advance(n as u64);
                Ok(Some(n))
            }
            None => Ok(None),
        }
    }

    /// Reads at least one byte without waiting, or returns `None`.
    fn receive(&mut self, buf: &mut [u8], doing: &'static str) -> Result<Option<usize>, Error> {
        loop {
            let received = match &mut self.descriptors {
                Some(descriptors) => descriptors.receive(&self.stream, buf),
                None => recv(&self.stream, &mut *buf, RecvFlags::DONTWAIT).map(|(n, _)| n),
            };
            match received {
                Ok(0) => return Err(self.io_error(doing, io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => {
                    self.heard = true;
                    return Ok(Some(n));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(self.io_error(doing, error.into())),
            }
        }
    }

    /// Fills `buf` within the deadline. Bytes that have arrived are read also after it: the reader may
    /// be late instead of the peer.
    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        let mut filled = buf.len().min(self.ahead.len());
        buf[..filled].copy_from_slice(&self.ahead[..filled]);
        self.ahead.drain(..filled);
        while filled < buf.len() {
            let ready = wait(&self.stream, PollFlags::IN, self.limit.left());
            ready.map_err(|error| self.io_error(READING_REPLY, error))?;
            filled += self
                .receive(&mut buf[filled..], READING_REPLY)?
                .unwrap_or(0);
        }
        Ok(())
    }
}

/// Number of bytes in front of the content, for a reply that begins with `bytes`: its head, and the failure, the
/// file's properties, or the path of a socket.
fn ahead_len(command: u8, bytes: &[u8]) -> usize {
    let Some(head) = bytes.first_chunk() else {
        return HEAD_LEN;
    };
    let head = Head::decode(head);
    let most = match command {
        _ if !head.is_ok() => Fault::BODY_MAX,
        LOCAL_SOCKET => LocalSocket::LEN_MAX,
        OPEN => PassedFile::LEN,
        _ => FileStat::LEN,
    };
    HEAD_LEN + usize::try_from(head.body_len).unwrap_or(0).min(most)
}

/// True if only servers of this system support the command (protocol.md, Frame).
fn is_own_command(command: u8) -> bool {
    matches!(command, 14..=39 | 41..=69 | 74..=99)
}

/// True for the failure of a C++ storage without the file. It has code -1 and the text `[hostname] read
/// database fail, fileid: ID`, as recorded in proto/tests/frames.json (filesize and delete).
fn is_cpp_not_found(fault: &Fault) -> bool {
    const TEXT: &str = "read database fail, fileid: ";
    let text = match fault.message.split_once("] ") {
        Some((host, text)) if host.starts_with('[') => text,
        _ => fault.message.as_str(),
    };
    fault.code == ErrorCode::Unknown && text.starts_with(TEXT)
}
