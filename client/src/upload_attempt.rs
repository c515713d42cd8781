//! One attempt to send a file to one storage, and what its end means.

use std::io::{ErrorKind as IoKind, Read};

use proto::storage::{self, StorageRequest, Upload};
use proto::{ErrorCode, FileKey};
use xxhash_rust::xxh3::Xxh3;

use crate::{Connection, Error, ProtocolError};

/// Content is read and sent in pieces of this many bytes, so this is what an upload needs of
/// memory, whatever the size of the file.
pub(crate) const BUFFER_LEN: usize = 512 << 10;

/// How one attempt ended without success.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) trace: Trace,
}

/// What an attempt that failed may have left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// Nothing: the storage refused, or nothing was sent.
    None,
    /// The file may be stored by now, but if it is not it will not be: the storage has let go of
    /// the connection, or answered.
    Settled,
    /// The file may be stored by now or later: the storage is silent, with all the content.
    Pending,
}

/// The content of an attempt: its reader stands at the first byte.
pub(crate) struct Content<'a> {
    pub(crate) source: &'a mut dyn Read,
    pub(crate) size: u64,
    pub(crate) buffer: &'a mut Vec<u8>,
    pub(crate) progress: &'a mut dyn FnMut(u64),
}

/// Sends the file over `connection` and returns the checksum of what was sent. With a failure
/// comes what it may have left behind. The connection is in step afterwards only when the whole
/// file was sent and answered.
pub(crate) fn attempt(
    connection: &mut Connection,
    key: &FileKey,
    content: &mut Content<'_>,
) -> Result<u128, Failure> {
    let mut sender = Sender {
        connection,
        content,
        hash: Xxh3::new(),
        left: 0,
    };
    sender.left = sender.content.size;
    sender.connection.begin();
    match sender.send_all(key) {
        Ok(()) => sender.read_verdict(),
        Err(Stop::EarlyReply) => Err(sender.read_refusal(None)),
        Err(Stop::Broken(error)) => Err(sender.read_refusal(Some(error))),
        // The storage sees the connection end before the content does, and stores nothing.
        Err(Stop::Source(error)) => Err(Failure {
            error,
            trace: Trace::None,
        }),
    }
}

/// Why not all of the content was sent.
enum Stop {
    /// The storage answered, or closed, in the middle.
    EarlyReply,
    Broken(Error),
    Source(Error),
}

struct Sender<'a, 'b> {
    connection: &'a mut Connection,
    content: &'a mut Content<'b>,
    hash: Xxh3,
    /// Bytes of content not read from the source yet.
    left: u64,
}

impl Sender<'_, '_> {
    /// Sends request and content. The head goes out together with the first piece.
    fn send_all(&mut self, key: &FileKey) -> Result<(), Stop> {
        let request = StorageRequest::Upload(Upload {
            key: key.clone(),
            size: self.content.size,
        });
        let request = request.encode();
        self.content.buffer.clear();
        self.content.buffer.extend_from_slice(&request);
        loop {
            self.fill()?;
            if self.connection.sent > 0 && self.connection.is_readable() {
                return Err(Stop::EarlyReply);
            }
            let sent = self
                .connection
                .send(self.content.buffer, "sending the content");
            sent.map_err(Stop::Broken)?;
            let content_sent = self.connection.sent - request.len() as u64;
            (self.content.progress)(content_sent);
            self.content.buffer.clear();
            if self.left == 0 {
                return Ok(());
            }
        }
    }

    /// Appends a piece of the content to the buffer. A source that is shorter or longer than
    /// announced is noticed before its last piece is sent.
    fn fill(&mut self) -> Result<(), Stop> {
        let buffer = &mut *self.content.buffer;
        let start = buffer.len();
        let wanted = self.left.min(BUFFER_LEN as u64);
        let mut piece = (&mut *self.content.source).take(wanted);
        let n = piece.read_to_end(buffer).map_err(source_error)? as u64;
        self.hash.update(&buffer[start..]);
        self.left -= n;
        if n < wanted {
            return Err(self.wrong_size("fewer"));
        }
        if self.left == 0 && has_more(self.content.source).map_err(source_error)? {
            return Err(self.wrong_size("more"));
        }
        Ok(())
    }

    fn wrong_size(&self, comparison: &'static str) -> Stop {
        Stop::Source(Error::SourceSize {
            comparison,
            announced: self.content.size,
        })
    }

    /// Reads the reply to a file that was sent whole.
    fn read_verdict(&mut self) -> Result<u128, Failure> {
        let error = match self.connection.read_head(storage::REPLY) {
            Ok(0) => return Ok(self.hash.digest128()),
            Ok(other) => {
                let actual = i64::try_from(other).unwrap_or(i64::MAX);
                self.connection.body_length(actual, "exactly 0".to_owned())
            }
            Err(error) => error,
        };
        let trace = match &error {
            Error::Fault { source, .. } if source.code != ErrorCode::Unknown => Trace::None,
            Error::Timeout { .. } => Trace::Pending,
            _ => Trace::Settled,
        };
        Err(Failure { error, trace })
    }

    /// Reads the reply to a file that was not sent whole, if there is one. `broken` is how sending
    /// ended; a storage that refuses and closes breaks it, but its reply may still be read.
    fn read_refusal(&mut self, broken: Option<Error>) -> Failure {
        let silent = matches!(broken, Some(Error::Timeout { .. }));
        let reply = if silent && !self.connection.is_readable() {
            None
        } else {
            Some(self.connection.read_head(storage::REPLY))
        };
        let error = match (reply, broken) {
            (Some(Err(error @ Error::Fault { .. })), _) => {
                // The rest of the content will not be sent: nobody may use this connection again.
                self.connection.give_up();
                return Failure {
                    error,
                    trace: Trace::None,
                };
            }
            (Some(Ok(_)), _) => self.connection.protocol_error(ProtocolError::EarlySuccess),
            (_, Some(broken)) => broken,
            (Some(Err(error)), None) => error,
            (None, None) => unreachable!("without an error sending stops for a reply only"),
        };
        let trace = if self.connection.sent == 0 {
            Trace::None
        } else {
            Trace::Settled
        };
        Failure { error, trace }
    }
}

fn source_error(error: std::io::Error) -> Stop {
    Stop::Source(Error::Source(error))
}

fn has_more(source: &mut dyn Read) -> std::io::Result<bool> {
    loop {
        match source.read(&mut [0]) {
            Ok(n) => return Ok(n > 0),
            Err(error) if error.kind() == IoKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
