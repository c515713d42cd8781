//! Who a storage is, told to a tracker before it joins. Ours: a C++ tracker refuses it.
//!
//! On the wire JSON text with a NUL, in which a later version may add fields that an earlier one
//! passes over.

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::field::Fields;
use crate::report::json;
use crate::{Address, ClusterId, DecodeError, NodeId};

/// Longest text of a hello, in bytes with its NUL.
pub const HELLO_TEXT_MAX: usize = 1024;
/// Longest body of the reply that is read, in bytes.
pub const WELCOME_MAX: usize = 1024;

/// Who a storage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The same across restarts, and of no other storage.
    pub node: NodeId,
    /// Where clients are to be sent, as configured; absent: to where the connection comes from.
    #[serde(default)]
    pub advertise: Option<Address>,
    /// What the storage resolved that to.
    #[serde(default)]
    pub address: Option<SocketAddr>,
    /// The storage's own end of the connection: another one than the tracker sees when addresses
    /// are translated in between.
    #[serde(default)]
    pub local: Option<IpAddr>,
    /// Whether it wants a [`Welcome`], remembers the cluster, and takes orders under
    /// [`NodeId::digest`]. An earlier version does not.
    #[serde(default)]
    pub remembers: bool,
    /// The cluster it joined before, if it knows.
    #[serde(default)]
    pub cluster: Option<ClusterId>,
}

/// The reply to a hello that [asks for it](Hello::remembers).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Welcome {
    /// The cluster of the tracker's database; absent while that is not certain.
    pub cluster: Option<ClusterId>,
}

impl Welcome {
    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = serde_json::to_vec(self).expect("a welcome is JSON");
        body.push(0);
        body
    }

    /// Reads the body of the reply: an earlier tracker's is empty.
    ///
    /// # Errors
    /// A body without its NUL, or that is not the JSON of one.
    pub fn decode(body: &[u8]) -> Result<Welcome, DecodeError> {
        if body.is_empty() {
            return Ok(Welcome::default());
        }
        json(Fields::new(body).text("welcome", body.len())?, "welcome")
    }
}

impl Hello {
    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&serde_json::to_vec(self).expect("a hello is JSON"));
        body.push(0);
    }

    pub(crate) fn decode(fixed: &[u8]) -> Result<Hello, DecodeError> {
        json(Fields::new(fixed).text("hello", fixed.len())?, "hello")
    }
}
