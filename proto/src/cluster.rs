//! The reply to CLUSTER, for monitors: the cluster as one tracker sees it.
//!
//! JSON text with a NUL. Later versions may add fields, which earlier ones ignore.

use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::json::{decode_json, encode_json};
use crate::report::Report;

/// Longest body of a CLUSTER reply that is read, in bytes: some 100,000 members.
pub const CLUSTER_REPLY_MAX: usize = 128 << 20;
/// Most members whose reports are in a reply, which bounds its length.
pub const CLUSTER_REPORTS_MAX: usize = 10_000;

/// The state of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// The tracker itself.
    pub tracker: Tracker,
    /// The groups by name: those of the database, and those that have members.
    pub groups: Vec<Group>,
    /// Storages whose joins were rejected recently, latest first.
    pub refused: Vec<RejectedJoin>,
}

/// A storage whose join was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RejectedJoin {
    /// Time of its latest attempt, seconds since the epoch.
    pub time: i64,
    /// The storage and the reason.
    pub text: String,
}

/// The tracker that made the reply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracker {
    /// Its name.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// When it started, seconds since the epoch.
    pub up_since: i64,
    /// Time of this reply, seconds since the epoch.
    pub time: i64,
    /// Why the latest read of the groups from the database failed; empty when it succeeded.
    pub database_error: String,
    /// Conditions that need an administrator, one line each.
    pub warnings: Vec<String>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// True when it gets new users.
    pub open: bool,
    /// True when it is not in the database, open or closed: storages join it by mistake.
    pub unregistered: bool,
    /// Its members, in order of joining.
    pub storages: Vec<Storage>,
}

/// A member. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Its address for clients, `ip:port`.
    pub address: String,
    /// The name of its host.
    pub hostname: String,
    /// The digest of its node id, the id itself from an earlier version, empty from a C++ storage.
    pub node: String,
    /// The version of its latest join, at most six bytes.
    pub version: String,
    /// `ONLINE`, `ACTIVE` or `OFFLINE`.
    pub status: String,
    /// When its process started.
    pub start_time: i64,
    /// Time of its latest join.
    pub join_time: i64,
    /// Time of its latest beat.
    pub beat_time: i64,
    /// Faults of its address or clock, one line each.
    pub notes: Vec<String>,
    /// True when the tracker does not connect to its address, because the storage advertises one of another
    /// network.
    pub untried: bool,
    /// True when clients are sent there while it is ACTIVE.
    pub offered: bool,
    /// Its latest report; a C++ storage sends none.
    pub report: Option<Report>,
}

impl Default for Storage {
    fn default() -> Storage {
        Storage {
            address: String::new(),
            hostname: String::new(),
            node: String::new(),
            version: String::new(),
            status: String::new(),
            start_time: 0,
            join_time: 0,
            beat_time: 0,
            notes: Vec::new(),
            untried: false,
            offered: true,
            report: None,
        }
    }
}

impl Cluster {
    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        encode_json(self)
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A body without its NUL, or that is not the JSON of a cluster.
    pub fn decode(body: &[u8]) -> Result<Cluster, DecodeError> {
        decode_json(body, "cluster")
    }
}
