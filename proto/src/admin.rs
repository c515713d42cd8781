//! Orders of administrators, each proved with a key that both sides have: a server gives a nonce,
//! the order comes with an HMAC-SHA256 over the kind of server, the storage's node id, the nonce and
//! the order's text. A nonce is good for one order on its own connection, so that nothing overheard
//! can be sent again; and a storage obeys only what names it, so that one which poses as a storage
//! cannot pass on to another what it was told. Ours: a C++ server refuses.
//!
//! On the wire `mac 32`, then JSON text with a NUL.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::field::Fields;
use crate::report::{Drain, json};
use crate::request::body_length;
use crate::{AppId, DecodeError, FileId, GroupName, Head, NodeId, UserId};

/// Length of a nonce, the body of the reply to CHALLENGE, in bytes.
pub const NONCE_LEN: usize = 16;
/// Longest body of an order, in bytes.
pub const ORDER_MAX: usize = MAC_LEN + 1024;
/// Longest reply to an order that is read, in bytes.
pub const ORDER_REPLY_MAX: usize = 64 << 10;

const MAC_LEN: usize = 32;

/// A number that a server uses once.
pub type Nonce = [u8; NONCE_LEN];

/// An order as it came: not to be looked at before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    mac: [u8; MAC_LEN],
    text: String,
}

/// What all orders have.
#[derive(Deserialize)]
struct Named<'a> {
    order: &'a str,
}

/// What a tracker can be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum TrackerOrder {
    /// Give new users to a group.
    OpenGroup {
        /// The group.
        group: GroupName,
        /// Whether it may be one that the database does not know.
        #[serde(default)]
        new: bool,
    },
    /// Give no more users to a group; those it has stay.
    CloseGroup {
        /// The group.
        group: GroupName,
    },
    /// Strike a storage that is OFFLINE off the list.
    Forget {
        /// Its address, `ip:port`, or its node id.
        storage: String,
    },
    /// Tell the group of a user, in a [`UserPlace`].
    FindUser {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
    },
    /// Bind a user to another group, unless that was done before, and believe nothing older.
    /// Nobody asks here whether there are files: see [`StorageOrder::BarUser`].
    MoveUser {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// The group the user must be bound to.
        from: GroupName,
        /// The one the user is bound to then.
        to: GroupName,
    },
}

/// What a storage can be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum StorageOrder {
    /// Take it out of service, or back.
    Drain {
        /// How far.
        level: Drain,
    },
    /// Tell where a file lies, in a [`FilePlace`].
    FindFile {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// The file.
        file: FileId,
    },
    /// Take no uploads of a user for a while, and wait for those that are being stored. The reply
    /// is a [`UserBarred`].
    BarUser {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// Who gives the order: a number that nobody else uses.
        mark: u64,
        /// For how long, unless the order is given again.
        seconds: u32,
    },
    /// Take uploads of a user again.
    AdmitUser {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
        /// As far as the order of this mark is concerned; absent: of any.
        #[serde(default)]
        mark: Option<u64>,
    },
    /// Tell a file of a user, in a [`UserFile`]. May take minutes: no index leads to it.
    FindUserFile {
        /// The application.
        app: AppId,
        /// The user.
        user: UserId,
    },
}

/// The group of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlace {
    /// Absent for a user that no tracker was asked for yet.
    pub group: Option<GroupName>,
    /// How long this tracker may believe so without asking the database again, in seconds.
    #[serde(default)]
    pub believed_secs: u64,
}

/// A user's uploads are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserBarred {
    /// Whether they were without a break since the order was first given.
    pub renewed: bool,
}

/// Whether a user has files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFile {
    /// One of them; absent when there is none.
    pub file: Option<FileId>,
}

/// Where a file lies, by its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// The table of the row.
    pub table: String,
    /// The path, as the row spells it.
    pub path: String,
    /// Size by the row, in bytes.
    pub size: u64,
    /// Size on the disk; absent when it cannot be read there.
    pub size_on_disk: Option<u64>,
    /// When the row was made, seconds since the epoch.
    pub created: i64,
    /// XXH3-128 of the content in hex; a C++ storage keeps none.
    pub checksum: Option<String>,
}

/// Something that is ordered, and of whom. Both are part of what is signed.
pub trait Order: Serialize + for<'a> Deserialize<'a> {
    /// An order for one kind of server is none for the other.
    const TO: &'static str;
    /// Which server of the kind is meant.
    type Target: Target;
}

/// Which server is to obey, as it knows itself.
pub trait Target {
    /// Unlike that of every other one.
    fn text(&self) -> &str;
}

/// Storages are found through trackers, who may have been told anything: what one of them is told
/// is for no other.
impl Target for NodeId {
    fn text(&self) -> &str {
        self.as_str()
    }
}

/// Trackers have no names: who gives orders has their addresses from the configuration.
impl Target for () {
    fn text(&self) -> &str {
        ""
    }
}

impl Order for TrackerOrder {
    const TO: &'static str = "tracker";
    type Target = ();
}

impl Order for StorageOrder {
    const TO: &'static str = "storage";
    type Target = NodeId;
}

impl Signed {
    /// Signs an order to one server with the key.
    pub fn new<O: Order>(order: &O, to: &O::Target, key: &[u8], nonce: &Nonce) -> Signed {
        let text = serde_json::to_string(order).expect("an order is JSON");
        let mac = mac::<O>(key, to, nonce, &text)
            .finalize()
            .into_bytes()
            .into();
        Signed { mac, text }
    }

    /// What the order says it is, for logs: anybody may have written it. `-` if that is no word.
    pub fn name(&self) -> &str {
        let named: Result<Named<'_>, _> = serde_json::from_str(&self.text);
        let name = named.map_or("", |named| named.order);
        let is_word = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b == b'-' || b.is_ascii_lowercase());
        if is_word { name } else { "-" }
    }

    /// The order, if it was signed with this key for this nonce, to the server that asks. Takes as
    /// long for every wrong signature.
    ///
    /// # Errors
    /// Signed, but no order that this version knows.
    pub fn open<O: Order>(
        &self,
        to: &O::Target,
        key: &[u8],
        nonce: &Nonce,
    ) -> Result<Option<O>, DecodeError> {
        match mac::<O>(key, to, nonce, &self.text).verify_slice(&self.mac) {
            Ok(()) => json(&self.text, "order").map(Some),
            Err(_) => Ok(None),
        }
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
/// It is not the JSON of what was asked for.
pub fn decode_reply<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|_| DecodeError::NotUtf8("reply"))?;
    json(text, "reply")
}

/// The length of an order, if a head announces one.
pub(crate) fn order_len(head: &Head) -> Result<usize, DecodeError> {
    match usize::try_from(head.body_len) {
        Ok(len) if (MAC_LEN + 1..=ORDER_MAX).contains(&len) => Ok(len),
        _ => Err(body_length(head, "33 to 1056")),
    }
}

fn mac<O: Order>(key: &[u8], to: &O::Target, nonce: &Nonce, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("every length is a key");
    for part in ["tnv order 2 ", O::TO, "\0", to.text(), "\0"] {
        mac.update(part.as_bytes());
    }
    mac.update(nonce);
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_named_only_by_a_word() {
        let order = StorageOrder::Drain { level: Drain::None };
        let mut signed = Signed::new(&order, &"a1".parse().unwrap(), b"key", &[0; NONCE_LEN]);
        assert_eq!(signed.name(), "drain");
        for text in [
            "",
            "{}",
            "{\"order\":\"\"}",
            "{\"order\":\"a b\"}",
            "{\"order\":\"a\\nb\"}",
        ] {
            text.clone_into(&mut signed.text);
            assert_eq!(signed.name(), "-", "{text}");
        }
    }
}
