//! The ten bytes in front of every request and reply.

use byteorder::{BigEndian, ByteOrder};

/// Length of a head on the wire, in bytes.
pub const HEAD_LEN: usize = 10;
/// Status of a request and of a reply that succeeded.
pub const STATUS_OK: u8 = 0;
/// Status of a reply that failed: -3, as the C++ servers send it. Any status but 0 is a failure.
pub const STATUS_FAILURE: u8 = 0xFD;

/// `body length: 8, big-endian, signed | command: 1 | status: 1` (docs/protocol.md, Frame).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes that follow the head. Signed on the wire; a peer may send any value.
    pub body_len: i64,
    /// The command of a request, or the kind of server of a reply.
    pub command: u8,
    /// 0 for success.
    pub status: u8,
}

impl Head {
    /// The head of a request with a body of `body_len` bytes.
    pub fn request(command: u8, body_len: u64) -> Head {
        Head {
            body_len: clamp(body_len),
            command,
            status: STATUS_OK,
        }
    }

    /// The head of a reply that succeeded, with a body of `body_len` bytes.
    pub fn reply(command: u8, body_len: u64) -> Head {
        Head::request(command, body_len)
    }

    /// Reads a head. Any ten bytes are a head; the decoder of the request checks the values.
    pub fn decode(bytes: &[u8; HEAD_LEN]) -> Head {
        Head {
            body_len: BigEndian::read_i64(&bytes[..8]),
            command: bytes[8],
            status: bytes[9],
        }
    }

    /// The bytes of the head.
    pub fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        BigEndian::write_i64(&mut bytes[..8], self.body_len);
        bytes[8] = self.command;
        bytes[9] = self.status;
        bytes
    }

    /// True when a reply with this head reports success.
    pub fn is_ok(&self) -> bool {
        self.status == STATUS_OK
    }
}

/// A head and a body in one buffer, to be sent in one write.
pub(crate) fn frame(command: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
    bytes.extend_from_slice(&Head::request(command, body.len() as u64).encode());
    bytes.extend_from_slice(body);
    bytes
}

fn clamp(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
