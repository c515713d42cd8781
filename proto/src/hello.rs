//! Who a storage is, told to a tracker before it joins. Ours: a C++ tracker refuses it.
//!
//! On the wire JSON text with a NUL, in which a later version may add fields that an earlier one
//! passes over.

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::field::Fields;
use crate::report::json;
use crate::{Address, DecodeError, NodeId};

/// Longest text of a hello, in bytes with its NUL.
pub const HELLO_TEXT_MAX: usize = 1024;

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
