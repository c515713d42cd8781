//! The whole cluster as one tracker sees it: the reply to CLUSTER, for monitors.
//!
//! JSON text with a NUL, in which a later version may add fields that an earlier one passes over.

use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::field::Fields;
use crate::report::{Report, json};

/// Longest body of a CLUSTER reply that is read, in bytes: some 100,000 members.
pub const CLUSTER_REPLY_MAX: usize = 128 << 20;
/// Most members whose reports are in a reply: the rest is left out, so that it stays in bounds.
pub const CLUSTER_REPORTS_MAX: usize = 10_000;

/// What one tracker knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// The tracker itself.
    pub tracker: Tracker,
    /// The groups by name: those of the database, and those that have members.
    pub groups: Vec<Group>,
    /// Storages that were refused lately, the latest first.
    pub refused: Vec<Refused>,
}

/// A storage that may not join.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// When it last tried, seconds since the epoch.
    pub time: i64,
    /// Who, and why not.
    pub text: String,
}

/// The tracker that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracker {
    /// Its name.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// When it started, seconds since the epoch.
    pub up_since: i64,
    /// When it made this reply.
    pub time: i64,
    /// Why it could not read the groups from the database when it last tried; empty when it could.
    pub database_error: String,
    /// What an administrator should see to, a line for each thing.
    pub warnings: Vec<String>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Whether new users are given to it.
    pub open: bool,
    /// Whether the database knows it neither as open nor as closed: storages join it by mistake.
    pub unregistered: bool,
    /// Its members, in order of joining.
    pub storages: Vec<Storage>,
}

/// A member. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Where clients are sent, `ip:port`.
    pub address: String,
    /// What it is called.
    pub hostname: String,
    /// The digest of its node id, or the id itself of an earlier version; a C++ storage has none.
    pub node: String,
    /// What it told when it joined, at most six bytes.
    pub version: String,
    /// `ONLINE`, `ACTIVE` or `OFFLINE`.
    pub status: String,
    /// When its process started.
    pub start_time: i64,
    /// When it last joined.
    pub join_time: i64,
    /// When it was last heard of.
    pub beat_time: i64,
    /// What is wrong with its address or clock, a line for each thing.
    pub notes: Vec<String>,
    /// Whether the tracker does not try to connect to its address: who advertises it is in another
    /// network.
    pub untried: bool,
    /// Whether clients are sent there while it is ACTIVE: not when nobody can connect.
    pub offered: bool,
    /// What it last reported; a C++ storage reports nothing.
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
        let mut body = serde_json::to_vec(self).expect("a cluster is JSON");
        body.push(0);
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A body without its NUL, or that is not the JSON of a cluster.
    pub fn decode(body: &[u8]) -> Result<Cluster, DecodeError> {
        json(Fields::new(body).text("cluster", body.len())?, "cluster")
    }
}
