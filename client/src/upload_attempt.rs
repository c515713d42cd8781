//! One attempt to send a file to one storage.

use std::io::{ErrorKind as IoKind, Read};

use proto::storage::{self, StorageRequest, Upload};
use proto::{ErrorCode, FileKey};
use twox_hash::XxHash3_128;

use crate::{Connection, Error, ProtocolError};

/// Size of the pieces in which content is read and sent, in bytes. An upload needs this much memory.
pub(crate) const BUFFER_LEN: usize = 512 << 10;

/// Length of the buffer for a file of `size` bytes.
pub(crate) fn buffer_len(size: u64) -> usize {
    size.min(BUFFER_LEN as u64) as usize
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) residue: AttemptResidue,
}

/// The effect that a failed attempt may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptResidue {
    /// None: the storage refused, or nothing was sent.
    None,
    /// The file may be stored. If it is not stored now, it will not be: the storage closed the
    /// connection or answered.
    Settled,
    /// The file may be stored now or later: the storage has all content and did not answer.
    Pending,
}

/// The content of an attempt. Its reader is at the first byte.
pub(crate) struct Content<'a> {
    pub(crate) source: &'a mut dyn Read,
    pub(crate) size: u64,
    /// [`buffer_len`] bytes, and space for the request in front.
    pub(crate) buffer: &'a mut [u8],
    pub(crate) progress: &'a mut dyn FnMut(u64),
    /// Of the whole content, once an attempt has read it to its end.
    pub(crate) checksum: &'a mut Option<u128>,
}

/// Sends the file over `connection`. Afterwards the connection is in step only if the whole file was
/// sent and answered.
pub(crate) fn attempt(
    connection: &mut Connection,
    key: &FileKey,
    content: &mut Content<'_>,
) -> Result<(), Failure> {
    let mut sender = Sender {
        connection,
        content,
        hash: XxHash3_128::new(),
        left: 0,
    };
    sender.left = sender.content.size;
    sender.connection.begin_long();
    match sender.send_all(key) {
        Ok(()) => sender.read_reply(),
        Err(Stop::EarlyReply) => Err(sender.read_refusal(None)),
        Err(Stop::Broken(error)) => Err(sender.read_refusal(Some(error))),
        // The connection ends before the content, so the storage stores nothing.
        Err(Stop::Source(error)) => Err(Failure {
            error,
            residue: AttemptResidue::None,
        }),
    }
}

/// Why the content was not sent to its end.
enum Stop {
    /// The storage answered or closed before the end.
    EarlyReply,
    Broken(Error),
    Source(Error),
}

struct Sender<'a, 'b> {
    connection: &'a mut Connection,
    content: &'a mut Content<'b>,
    hash: XxHash3_128,
    /// Bytes of content not read from the source.
    left: u64,
}

impl Sender<'_, '_> {
    /// Sends request and content. The request goes out with the first piece.
    fn send_all(&mut self, key: &FileKey) -> Result<(), Stop> {
        let request = StorageRequest::Upload(Upload {
            key: key.clone(),
            size: self.content.size,
        });
        let request = request.encode();
        self.content.buffer[..request.len()].copy_from_slice(&request);
        let mut start = request.len();
        loop {
            let end = self.fill(start)?;
            if self.connection.sent > 0 && self.connection.is_readable() {
                return Err(Stop::EarlyReply);
            }
            let piece = &self.content.buffer[..end];
            let sent = self.connection.send_content(piece);
            sent.map_err(Stop::Broken)?;
            let content_sent = self.connection.sent - request.len() as u64;
            (self.content.progress)(content_sent);
            if self.left == 0 {
                return Ok(());
            }
            start = 0;
        }
    }

    /// Reads a piece of content into the buffer from `start` on and returns its end. A source of another
    /// length than announced, or with other bytes than in an earlier attempt, fails before its last
    /// piece is sent.
    fn fill(&mut self, start: usize) -> Result<usize, Stop> {
        let wanted = buffer_len(self.left);
        let piece = &mut self.content.buffer[start..start + wanted];
        let n = read_up_to(self.content.source, piece).map_err(source_error)?;
        self.hash.write(&piece[..n]);
        self.left -= n as u64;
        if n < wanted {
            return Err(self.wrong_size("fewer"));
        }
        let at_end = self.left == 0;
        if at_end && read_up_to(self.content.source, &mut [0]).map_err(source_error)? > 0 {
            return Err(self.wrong_size("more"));
        }
        if at_end {
            self.compare()?;
        }
        Ok(start + n)
    }

    /// Compares the content, which was read to its end, with that of earlier attempts.
    fn compare(&mut self) -> Result<(), Stop> {
        let checksum = self.hash.finish_128();
        if *self.content.checksum.get_or_insert(checksum) == checksum {
            return Ok(());
        }
        let text = "the content is not that of an earlier attempt";
        Err(source_error(std::io::Error::other(text)))
    }

    fn wrong_size(&self, comparison: &'static str) -> Stop {
        Stop::Source(Error::SourceSize {
            comparison,
            announced: self.content.size,
        })
    }

    /// Reads the reply after the whole file was sent.
    fn read_reply(&mut self) -> Result<(), Failure> {
        self.connection.restart_limit();
        let error = match self.connection.read_head(storage::REPLY) {
            Ok(0) => return Ok(()),
            Ok(other) => self.connection.body_length(other, "exactly 0".to_owned()),
            Err(error) => error,
        };
        let residue = match &error {
            Error::Fault { source, .. } if source.code != ErrorCode::Unknown => {
                AttemptResidue::None
            }
            Error::Timeout { .. } => AttemptResidue::Pending,
            _ => AttemptResidue::Settled,
        };
        Err(Failure { error, residue })
    }

    /// Reads the reply before the whole file was sent, if there is one. `broken` is the error of the
    /// send: a storage that refuses and closes breaks it, but its reply may still be readable.
    fn read_refusal(&mut self, broken: Option<Error>) -> Failure {
        let silent = matches!(broken, Some(Error::Timeout { .. }));
        let reply = if silent && !self.connection.is_readable() {
            None
        } else {
            self.connection.restart_limit();
            Some(self.connection.read_head(storage::REPLY))
        };
        let error = match (reply, broken) {
            (Some(Err(error @ Error::Fault { .. })), _) => {
                // The rest of the content is not sent, so the connection is out of step.
                self.connection.give_up();
                return Failure {
                    error,
                    residue: AttemptResidue::None,
                };
            }
            (Some(Ok(_)), _) => self.connection.protocol_error(ProtocolError::EarlySuccess),
            (_, Some(broken)) => broken,
            (Some(Err(error)), None) => error,
            (None, None) => unreachable!("without an error sending stops for a reply only"),
        };
        let residue = if self.connection.sent == 0 {
            AttemptResidue::None
        } else {
            AttemptResidue::Settled
        };
        Failure { error, residue }
    }
}

fn source_error(error: std::io::Error) -> Stop {
    Stop::Source(Error::Source(error))
}

/// Fills `buf`, or reads to the end of the source.
fn read_up_to(source: &mut dyn Read, buf: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match source.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == IoKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
