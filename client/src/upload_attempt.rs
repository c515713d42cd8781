//! One attempt to send a file to one storage.

use std::io::{self, Read};

use proto::storage::{self, Attributes, StorageRequest, Store, Upload};
use proto::{ErrorCode, FileKey};
use twox_hash::XxHash3_128;

use crate::upload_content::{Content, piece_len, read_up_to};
use crate::{Connection, Error, ProtocolError};

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) residue: AttemptResidue,
    /// True if the connection came from the pool.
    pub(crate) reused: bool,
}

/// The effect that a failed attempt may have, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AttemptResidue {
    /// None: the storage refused, or nothing was sent.
    None,
    /// The file may be stored. If it is not stored now, it will not be: the storage closed the
    /// connection or answered.
    Settled,
    /// The file may be stored now or later: the storage has all content and did not answer.
    Pending,
}

/// Sends the file over `connection`. `content` is at its first byte. Afterwards the connection is in
/// step only if the whole file was sent and answered.
pub(crate) fn attempt<S: Read>(
    connection: &mut Connection,
    (key, attributes): (&FileKey, &Attributes),
    content: &mut Content<'_, S>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    connection.begin_long();
    if let Err(error) = connection.prove_key(storage::UPLOAD) {
        return Err(Failure {
            error,
            residue: AttemptResidue::None,
            reused: connection.reused,
        });
    }
    let mut sender = Sender {
        connection,
        left: content.size,
        content,
        progress,
        hash: XxHash3_128::new(),
    };
    match sender.send_all(key, attributes) {
        Ok(()) => sender.read_reply(),
        Err(Stop::EarlyReply) => Err(sender.read_refusal(None)),
        Err(Stop::Broken(error)) => Err(sender.read_refusal(Some(error))),
        // The connection ends before the content, so the storage stores nothing.
        Err(Stop::Source(error)) => Err(sender.failure(error, AttemptResidue::None)),
    }
}

/// Why the content was not sent to its end.
enum Stop {
    /// The storage answered or closed before the end.
    EarlyReply,
    Broken(Error),
    Source(Error),
}

struct Sender<'a, 'b, S> {
    connection: &'a mut Connection,
    content: &'a mut Content<'b, S>,
    progress: &'a mut dyn FnMut(u64),
    hash: XxHash3_128,
    /// Bytes of content not read from the source.
    left: u64,
}

impl<S: Read> Sender<'_, '_, S> {
    /// Sends request and content. The request goes out with the first piece.
    fn send_all(&mut self, key: &FileKey, attributes: &Attributes) -> Result<(), Stop> {
        let upload = Upload {
            key: key.clone(),
            size: self.content.size,
        };
        let request = match attributes.is_empty() {
            true => StorageRequest::Upload(upload),
            false => StorageRequest::Store(Box::new(Store {
                upload,
                attributes: attributes.clone(),
            })),
        };
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
            (self.progress)(content_sent);
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
        let wanted = piece_len(self.left);
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
        Err(source_error(io::Error::other(text)))
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
        Err(self.failure(error, residue))
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
                return self.failure(error, AttemptResidue::None);
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
        self.failure(error, residue)
    }

    fn failure(&self, error: Error, residue: AttemptResidue) -> Failure {
        Failure {
            error,
            residue,
            reused: self.connection.reused,
        }
    }
}

fn source_error(error: io::Error) -> Stop {
    Stop::Source(Error::Source(error))
}
