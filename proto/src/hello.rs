//! The HELLO of a storage, which it sends to a tracker before it joins. C++ trackers refuse the command.
//!
//! JSON text with a NUL. Later versions may add fields, which earlier ones ignore.

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::json::{decode_json, encode_json};
use crate::{Address, ClusterId, DecodeError, NodeId};

/// Longest text of a hello, in bytes with its NUL.
pub const HELLO_TEXT_MAX: usize = 1024;
/// Longest body of the reply that is read, in bytes.
pub const WELCOME_MAX: usize = 1024;

/// The identity of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Unique, and the same across restarts.
    pub node: NodeId,
    /// The address for clients as configured; without it, the address of the connection.
    #[serde(default)]
    pub advertise: Option<Address>,
    /// The result of resolving `advertise`.
    #[serde(default)]
    pub address: Option<SocketAddr>,
    /// The storage's end of the connection. It differs from the address that the tracker sees when addresses
    /// are translated in between.
    #[serde(default)]
    pub local: Option<IpAddr>,
    /// True when it expects a [`Welcome`], remembers the cluster, and takes orders under [`NodeId::digest`].
    /// Earlier versions do not.
    #[serde(default)]
    pub remembers: bool,
    /// The cluster that it remembers.
    #[serde(default)]
    pub cluster: Option<ClusterId>,
}

/// The reply to a hello with [`Hello::remembers`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Welcome {
    /// The cluster of the tracker's database; absent while that is not certain.
    pub cluster: Option<ClusterId>,
}

impl Welcome {
    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        encode_json(self)
    }

    /// Reads the body of the reply, which is empty from an earlier tracker.
    ///
    /// # Errors
    /// A body without its NUL, or that is not the JSON of one.
    pub fn decode(body: &[u8]) -> Result<Welcome, DecodeError> {
        if body.is_empty() {
            return Ok(Welcome::default());
        }
        decode_json(body, "welcome")
    }
}

impl Hello {
    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&encode_json(self));
    }

    pub(crate) fn decode(fixed: &[u8]) -> Result<Hello, DecodeError> {
        decode_json(fixed, "hello")
    }
}
