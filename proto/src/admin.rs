//! Orders of administrators, authenticated with a shared key (docs/protocol.md, Orders). The server gives a nonce;
//! the order comes with an HMAC-SHA256 over the kind of server, its identity, the nonce and the order's text. A
//! nonce is valid for one order on its connection, so an order that was overheard cannot be sent again. The
//! identity keeps a false server from passing an order on to a real one. The reply comes with an HMAC-SHA256 over
//! all of these and its body, so that a false server cannot say that it executed an order. C++ servers refuse the
//! commands.
//!
//! `mac 32`, then JSON text with a NUL; the reply: `mac 32`, then its body.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::address::canonical;
use crate::field::Fields;
use crate::json::parse_json;
use crate::report::Drain;
use crate::request::body_length;
use crate::{AppId, DecodeError, FileId, GroupName, Head, NodeId, UserId};

/// Length of a nonce, the body of the reply to CHALLENGE, in bytes.
pub const NONCE_LEN: usize = 16;
/// Longest body of an order, in bytes.
pub const ORDER_MAX: usize = MAC_LEN + 1024;
/// Longest reply to an order that is read, in bytes, with its signature.
pub const ORDER_REPLY_MAX: usize = 64 << 10;

const MAC_LEN: usize = 32;

/// A number that a server uses once.
pub type Nonce = [u8; NONCE_LEN];

/// A signed order. [`Signed::open`] verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    mac: [u8; MAC_LEN],
    text: String,
}

/// The name of any order.
#[derive(Deserialize)]
struct Named<'a> {
    order: &'a str,
}

/// The orders to a tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum TrackerOrder {
    /// Open a group to new users.
    OpenGroup {
        /// The group.
        group: GroupName,
        /// Add the group if the database does not have it.
        #[serde(default)]
        new: bool,
    },
    /// Close a group to new users; it keeps its users.
    CloseGroup {
        /// The group.
        group: GroupName,
    },
    /// Remove an OFFLINE storage from the members.
    Forget {
        /// Its address, `ip:port`, or its node id.
        storage: String,
    },
    /// Get the group of a user; the reply is a [`UserGroup`].
    FindUser {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
    },
    /// Bind a user to another group, and drop the cached group. It does not check whether the user has files:
    /// see [`StorageOrder::BlockUploads`].
    MoveUser {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// The group the user must be bound to.
        from: GroupName,
        /// The new group.
        to: GroupName,
    },
}

/// The orders to a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum StorageOrder {
    /// Take it out of service, or back.
    Drain {
        /// How far.
        level: Drain,
    },
    /// Get the location of a file; the reply is a [`FileLocation`].
    FindFile {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// The file.
        file: FileId,
    },
    /// Block the uploads of a user for a while, and wait for those in progress. The reply is a
    /// [`UploadsBlocked`].
    #[serde(rename = "bar-user")]
    BlockUploads {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// Identifies the block of one sender.
        #[serde(rename = "mark")]
        lease_id: u64,
        /// Seconds until the block ends, unless the order is repeated.
        seconds: u32,
    },
    /// Unblock the uploads of a user.
    #[serde(rename = "admit-user")]
    UnblockUploads {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// Ends the block with this id only; without it, every block.
        #[serde(default, rename = "mark")]
        lease_id: Option<u64>,
    },
    /// Get any file of a user; the reply is a [`UserFile`]. May take minutes, because no index helps.
    FindUserFile {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
    },
}

/// The group of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroup {
    /// None for a user without a group.
    pub group: Option<GroupName>,
    /// Seconds for which this tracker may use a cached group.
    #[serde(default)]
    pub believed_secs: u64,
}

/// The reply to a block of a user's uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadsBlocked {
    /// True when the block has held without a break since the order was first sent.
    pub renewed: bool,
}

/// A file of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFile {
    /// None when the user has no file.
    pub file: Option<FileId>,
}

/// The location of a file, from its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLocation {
    /// The table of the row.
    pub table: String,
    /// The path, as the row spells it.
    pub path: String,
    /// Size by the row, in bytes.
    pub size: u64,
    /// Size on the disk; None when the file cannot be read.
    pub size_on_disk: Option<u64>,
    /// When the row was made, seconds since the epoch.
    pub created: i64,
    /// XXH3-128 of the content in hex; a C++ storage stores none.
    pub checksum: Option<String>,
}

/// An order to one kind of server. The signature covers the kind and the target.
pub trait Order: Serialize + for<'a> Deserialize<'a> {
    /// The kind of server.
    const TO: &'static str;
    /// Identifies a server of the kind.
    type Target: Target;
}

/// The identity of the server that executes an order.
pub trait Target {
    /// A text that differs from that of every other server of the kind.
    fn text(&self) -> String;
}

/// Clients find storages through trackers, whose lists may contain false storages: an order to one storage must
/// not be valid for another.
impl Target for NodeId {
    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

/// A tracker is the address that its client connected to.
impl Target for SocketAddr {
    fn text(&self) -> String {
        canonical(*self).to_string()
    }
}

impl Order for TrackerOrder {
    const TO: &'static str = "tracker";
    type Target = SocketAddr;
}

impl Order for StorageOrder {
    const TO: &'static str = "storage";
    type Target = NodeId;
}

impl Signed {
    /// Signs an order to one server with the key.
    pub fn new<O: Order>(order: &O, to: &O::Target, key: &[u8], nonce: &Nonce) -> Signed {
        let text = serde_json::to_string(order).expect("an order is JSON");
        let mac = mac::<O>(key, to, nonce, &text);
        let mac = mac.finalize().into_bytes().into();
        Signed { mac, text }
    }

    /// The name in the order, for logs: it is not verified. `-` if it is not a word.
    pub fn name(&self) -> &str {
        let named: Result<Named<'_>, _> = serde_json::from_str(&self.text);
        let name = named.map_or("", |named| named.order);
        let is_word = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b == b'-' || b.is_ascii_lowercase());
        if is_word { name } else { "-" }
    }

    /// The order, if it was signed with this key for this nonce and target. Compares signatures in constant
    /// time.
    ///
    /// # Errors
    /// The signature is valid, and this version does not know the order.
    pub fn open<O: Order>(
        &self,
        to: &O::Target,
        key: &[u8],
        nonce: &Nonce,
    ) -> Result<Option<O>, DecodeError> {
        match mac::<O>(key, to, nonce, &self.text).verify_slice(&self.mac) {
            Ok(()) => parse_json(&self.text, "order").map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Signs the body of the reply to this order.
    pub fn sign_reply<O: Order>(
        &self,
        to: &O::Target,
        key: &[u8],
        nonce: &Nonce,
        body: &[u8],
    ) -> Vec<u8> {
        let mac = reply_mac::<O>(key, to, nonce, &self.text, body);
        let mut reply = mac.finalize().into_bytes().to_vec();
        reply.extend_from_slice(body);
        reply
    }

    /// The body of a reply to this order, if it was signed with this key for this nonce and target.
    pub fn open_reply<O: Order>(
        &self,
        to: &O::Target,
        key: &[u8],
        nonce: &Nonce,
        reply: &[u8],
    ) -> Option<Vec<u8>> {
        let (mac, body) = reply.split_at_checked(MAC_LEN)?;
        let expected = reply_mac::<O>(key, to, nonce, &self.text, body);
        expected.verify_slice(mac).ok().map(|()| body.to_vec())
    }

    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&self.mac);
        body.extend_from_slice(self.text.as_bytes());
        body.push(0);
    }

    pub(crate) fn decode(fixed: &[u8]) -> Result<Signed, DecodeError> {
        let mut fields = Fields::new(fixed);
        let mac = fields.take("mac", MAC_LEN)?;
        let mac = mac.try_into().map_err(|_| DecodeError::Truncated("mac"))?;
        let rest = fields.rest();
        let text = Fields::new(rest).text("order", rest.len())?.to_owned();
        Ok(Signed { mac, text })
    }
}

/// Reads the body of the reply to CHALLENGE.
///
/// # Errors
/// A body of another length.
pub fn decode_nonce(body: &[u8]) -> Result<Nonce, DecodeError> {
    body.try_into().map_err(|_| DecodeError::Truncated("nonce"))
}

/// The body of the reply to an order.
pub fn encode_reply<T: Serialize>(reply: &T) -> Vec<u8> {
    serde_json::to_vec(reply).expect("a reply is JSON")
}

/// Reads the body of the reply to an order.
///
/// # Errors
/// The body is not the JSON of `T`.
pub fn decode_reply<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|_| DecodeError::NotUtf8("reply"))?;
    parse_json(text, "reply")
}

/// The length of an order, if a head announces one.
pub(crate) fn order_len(head: &Head) -> Result<usize, DecodeError> {
    match usize::try_from(head.body_len) {
        Ok(len) if (MAC_LEN + 1..=ORDER_MAX).contains(&len) => Ok(len),
        _ => Err(body_length(head, "33 to 1056")),
    }
}

fn mac<O: Order>(key: &[u8], to: &O::Target, nonce: &Nonce, text: &str) -> Hmac<Sha256> {
    mac_of::<O>("tnv order 3 ", key, to, nonce).chain_update(text)
}

fn reply_mac<O: Order>(
    key: &[u8],
    to: &O::Target,
    nonce: &Nonce,
    text: &str,
    body: &[u8],
) -> Hmac<Sha256> {
    let mac = mac_of::<O>("tnv order reply 3 ", key, to, nonce);
    mac.chain_update(text)
        .chain_update([0u8])
        .chain_update(body)
}

/// The part that an order and its reply share: what it is, the kind of server, its identity, the nonce.
fn mac_of<O: Order>(what: &str, key: &[u8], to: &O::Target, nonce: &Nonce) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("every length is a key");
    for part in [what, O::TO, "\0", &to.text(), "\0"] {
        mac.update(part.as_bytes());
    }
    mac.update(nonce);
    mac
}

#[cfg(test)]
mod tests;
