//! How a reader on the machine of a storage gets an open file (docs/protocol.md, Unix socket of a storage).

use super::{FileStat, OPEN};
use crate::field::Fields;
use crate::head::frame;
use crate::{DecodeError, FILE_KEY_LEN, FileKey};

const ID_LEN: usize = 16;
const LINKS_LEN: usize = 4;
/// Limit on the path, in bytes: that of the kernel (unix(7)).
const PATH_MAX: usize = 107;

/// Identifies the Unix socket of one run of a storage: a random number. A reader compares no paths: behind a
/// forwarded port, the path is that of another machine, and another storage may listen there on this one.
pub type SocketId = [u8; ID_LEN];

/// Reply to LOCAL_SOCKET: `id 16, path`; empty without a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSocket {
    /// OPEN names it.
    pub id: SocketId,
    /// Absolute path of the socket.
    pub path: Vec<u8>,
}

impl LocalSocket {
    /// Limit on the length of the reply's body, in bytes.
    pub const LEN_MAX: usize = ID_LEN + PATH_MAX;

    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        [&self.id, &self.path[..]].concat()
    }

    /// Reads the body of the reply. `None` if the storage has no socket.
    ///
    /// # Errors
    /// A body without a path.
    pub fn decode(body: &[u8]) -> Result<Option<LocalSocket>, DecodeError> {
        match body.split_first_chunk() {
            None if body.is_empty() => Ok(None),
            Some((id, path)) if !path.is_empty() => Ok(Some(LocalSocket {
                id: *id,
                path: path.to_vec(),
            })),
            _ => Err(DecodeError::Truncated("path of the socket")),
        }
    }
}

/// The file that an OPEN asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The file.
    pub key: FileKey,
    /// The socket that the request is meant for. Another one refuses it.
    pub socket: SocketId,
}

impl Open {
    pub(super) const LEN: usize = FILE_KEY_LEN + ID_LEN;

    pub(super) fn decode(key: FileKey, fields: &mut Fields<'_>) -> Result<Open, DecodeError> {
        let socket = fields.take("id of the socket", ID_LEN)?;
        let socket = socket.try_into();
        let socket = socket.map_err(|_| DecodeError::Truncated("id of the socket"))?;
        Ok(Open { key, socket })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Open::LEN);
        self.key.encode(&mut body);
        body.extend_from_slice(&self.socket);
        frame(OPEN, &body)
    }
}

/// Reply to OPEN, with a descriptor: `stat 33, links 4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassedFile {
    /// As of STAT.
    pub stat: FileStat,
    /// Number of hard links when the storage opened the file. With fewer ones it was deleted.
    pub links: u32,
}

impl PassedFile {
    /// Length of the reply's body, in bytes.
    pub const LEN: usize = FileStat::LEN + LINKS_LEN;

    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.stat.encode();
        body.extend_from_slice(&self.links.to_be_bytes());
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// As [`FileStat::decode`].
    pub fn decode(body: &[u8]) -> Result<PassedFile, DecodeError> {
        let stat = FileStat::decode(body)?;
        let links = body.get(FileStat::LEN..).and_then(<[u8]>::first_chunk);
        let links = links.ok_or(DecodeError::Truncated("links"))?;
        Ok(PassedFile {
            stat,
            links: u32::from_be_bytes(*links),
        })
    }
}
