//! A request that is safe to repeat, with the rules for its reply.

use proto::DecodeError;
use proto::idserver::{self, IdRequest};
use proto::storage::{self, StorageRequest};
use proto::tracker::{self, TrackerRequest};

/// A request, and how the body of its reply is read.
#[derive(Debug)]
pub(crate) struct Call<T> {
    pub(crate) request: Vec<u8>,
    pub(crate) reply_command: u8,
    /// Limit on the body of the reply, in bytes.
    pub(crate) body_max: usize,
    pub(crate) decode: Decode<T>,
}

/// Decodes the body of a reply.
pub(crate) type Decode<T> = fn(&[u8]) -> Result<T, DecodeError>;

impl<T> Call<T> {
    pub(crate) fn tracker(request: &TrackerRequest, body_max: usize, decode: Decode<T>) -> Call<T> {
        Call {
            request: request.encode(),
            reply_command: tracker::REPLY,
            body_max,
            decode,
        }
    }

    pub(crate) fn storage(request: &StorageRequest, body_max: usize, decode: Decode<T>) -> Call<T> {
        Call {
            request: request.encode(),
            reply_command: storage::REPLY,
            body_max,
            decode,
        }
    }

    pub(crate) fn idserver(request: &IdRequest, body_max: usize, decode: Decode<T>) -> Call<T> {
        Call {
            request: request.encode(),
            reply_command: idserver::REPLY,
            body_max,
            decode,
        }
    }
}
