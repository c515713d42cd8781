//! Reading a reply: its head and what stands in front of content within a limit, content as it
//! comes.

use std::io;

use proto::storage::FileStat;
use proto::{ErrorCode, Fault, HEAD_LEN, Head};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{Connection, Due};
use crate::wait::wait;
use crate::{Error, ProtocolError};

/// Memory for a body grows by this much at a time, as the body comes.
const BODY_STEP: usize = 64 << 10;

const READING_REPLY: &str = "reading the reply";
const READING_CONTENT: &str = "reading the content";

impl Connection {
    /// Reads what has come of the reply up to its content, without waiting. Tells whether that is
    /// all, or the connection broke, so that reading on will not wait.
    pub(crate) fn read_ahead(&mut self) -> bool {
        loop {
            let filled = self.ahead.len();
            let missing = ahead_len(&self.ahead) - filled;
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

    /// Reads the head of a reply and returns the length of its body, which is yet to be read; a
    /// failure is read to its end.
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
            self.is_ours |= is_own_command(self.command);
            self.due = Due::body(body_len);
            return Ok(body_len);
        }
        Err(self.read_fault(body_len))
    }

    fn read_fault(&mut self, body_len: u64) -> Error {
        self.due = Due::body(body_len);
        let body = match self.read_body(body_len, Fault::BODY_MAX) {
            Ok(body) => body,
            Err(error) => return error,
        };
        match Fault::decode(&body) {
            Ok(mut source) => {
                if is_cpp_not_found(&source) {
                    source.code = ErrorCode::NotFound;
                    // A C++ server closes the connection behind some of its failures.
                    self.due = Due::Unknown;
                }
                Error::Fault {
                    address: self.address.clone(),
                    source,
                }
            }
            Err(error) => self.protocol_error(error.into()),
        }
    }

    /// Reads a body of `body_len` bytes; nothing is allocated on the peer's word alone.
    pub(crate) fn read_body(&mut self, body_len: u64, body_max: usize) -> Result<Vec<u8>, Error> {
        if body_len > body_max as u64 {
            let actual = i64::try_from(body_len).unwrap_or(i64::MAX);
            return Err(self.body_length(actual, format!("at most {body_max}")));
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

    /// Reads the next bytes of the body within the limit; there must be as many.
    pub(crate) fn read_part(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        self.read_exact(buf)?;
        self.advance(buf.len() as u64);
        Ok(())
    }

    /// Waits until more of the body has come from a peer that sends at the least rate.
    pub(crate) fn wait_content(&mut self) -> Result<(), Error> {
        let ready = self.pace.wait(&self.stream, PollFlags::IN);
        ready.map_err(|error| self.content_error(READING_CONTENT, error))
    }

    /// Reads what has come of the body without waiting: `None` when nothing has.
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

    /// One read that does not wait: at least one byte, or `None` when nothing has come.
    fn receive(&mut self, buf: &mut [u8], doing: &'static str) -> Result<Option<usize>, Error> {
        loop {
            match recv(&self.stream, &mut *buf, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(self.io_error(doing, io::ErrorKind::UnexpectedEof.into())),
                Ok((n, _)) => {
                    self.heard = true;
                    return Ok(Some(n));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(self.io_error(doing, error.into())),
            }
        }
    }

    /// Fills `buf` within the limit. What has come is read even when no time is left: the reader
    /// may be late, not the peer.
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

/// How many bytes stand in front of the content of the reply to a READ or STAT that begins like
/// this: its head, and what is known of the file or why there is none.
fn ahead_len(bytes: &[u8]) -> usize {
    let Some(head) = bytes.first_chunk() else {
        return HEAD_LEN;
    };
    let head = Head::decode(head);
    let most = if head.is_ok() {
        FileStat::LEN
    } else {
        Fault::BODY_MAX
    };
    HEAD_LEN + usize::try_from(head.body_len).unwrap_or(0).min(most)
}

/// Whether only servers of this system carry this command out (protocol.md, Frame).
fn is_own_command(command: u8) -> bool {
    matches!(command, 14..=39 | 41..=69 | 74..=99)
}

/// A C++ storage has no kind for a file it does not have: it answers -1 and `[hostname] read
/// database fail, fileid: ID`, as recorded from one (proto/tests/frames.json, filesize and delete).
fn is_cpp_not_found(fault: &Fault) -> bool {
    const TEXT: &str = "read database fail, fileid: ";
    let text = match fault.message.split_once("] ") {
        Some((host, text)) if host.starts_with('[') => text,
        _ => fault.message.as_str(),
    };
    fault.code == ErrorCode::Unknown && text.starts_with(TEXT)
}
