//! The pieces of a reply. A service makes them, the transport sends them.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use proto::ErrorCode;
use rustix::io::Errno;

use super::source::Source;

/// An open file whose disk may be unavailable.
pub trait OpenFile: Send {
    /// Calls `act` with the file.
    ///
    /// # Errors
    /// The disk is unavailable; `act` was not called.
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()>;

    /// Takes note that the file cannot be read at a byte, or ends before it
    /// ([`UnexpectedEof`](ErrorKind::UnexpectedEof)). The client gets a part of the content, or none.
    /// Returns what a client is told that has got nothing: [`ErrorCode::Damaged`] only if the error
    /// says that this content is lost. After any other error a later try may succeed.
    fn cannot_read(&self, _offset: u64, error: &io::Error) -> ErrorCode {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if error.kind() == ErrorKind::UnexpectedEof || errno == Some(Errno::IO) {
            ErrorCode::Damaged
        } else {
            ErrorCode::Unavailable
        }
    }
}

impl OpenFile for File {
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()> {
        act(self);
        Ok(())
    }
}

/// A piece of a reply.
pub enum Part {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// Bytes in memory that several replies share without a copy.
    Shared(Arc<[u8]>),
    /// A range of a file, sent with sendfile(2). A file that ends early closes the connection: its length
    /// is sent already.
    File {
        /// The open file.
        file: Box<dyn OpenFile>,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Bytes in memory and a descriptor of a file, for a peer on the Unix socket.
    WithDescriptor {
        /// The bytes.
        bytes: Vec<u8>,
        /// The open file.
        file: Box<dyn OpenFile>,
    },
    /// Bytes from another server.
    Stream {
        /// Where they come from.
        source: Box<dyn Source>,
        /// Number of bytes; an earlier end closes the connection.
        len: u64,
    },
}

impl Part {
    /// Bytes that are still to be sent.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) | Part::WithDescriptor { bytes, .. } => bytes.len() as u64,
            Part::Shared(bytes) => bytes.len() as u64,
            Part::File { len, .. } | Part::Stream { len, .. } => *len,
        }
    }
}
