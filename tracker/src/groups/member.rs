//! One storage of a group.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proto::report::{Drain, Report};
use proto::tracker::Join;
use proto::{ClusterId, GroupName, NodeId};

use super::Reachability;

/// The state of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It joined and has not sent a beat since.
    Online,
    /// It sends beats.
    Active,
    /// Its beats have stopped.
    Offline,
}

/// One storage in one group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The latest JOIN.
    pub(crate) join: Arc<Join>,
    /// The address for clients.
    pub(crate) addr: SocketAddr,
    /// The address of the connection that joined last.
    pub(crate) peer: IpAddr,
    pub(crate) state: State,
    pub(super) has_beaten: bool,
    /// Time of the latest beat or join, seconds since the epoch.
    pub(crate) beat_time: i64,
    /// The latest report since it joined; a C++ storage sends none.
    pub(crate) report: Option<Arc<Report>>,
    /// Seconds by which its clock was ahead of the tracker's at the latest report.
    pub(crate) clock_skew: i64,
    /// A C++ storage has no node id.
    pub(crate) node: Option<NodeId>,
    /// The cluster that it remembers.
    pub(crate) cluster: Option<ClusterId>,
    /// A warning about its address.
    pub(crate) note: Option<Arc<str>>,
    pub(crate) reachability: Reachability,
    pub(super) heard: Duration,
    /// Number of its latest join among all joins.
    pub(super) join_number: u64,
}

impl Member {
    /// The group that it belongs to.
    pub(crate) fn group(&self) -> &GroupName {
        &self.join.member.group
    }

    /// The digest of its node id, under which it takes orders. Nobody is told the id itself, by which a storage
    /// is recognized at another address.
    pub(crate) fn public_node(&self) -> Option<NodeId> {
        self.node.as_ref().map(NodeId::digest)
    }

    /// True when clients are sent there while it is ACTIVE.
    pub(crate) fn is_offered(&self) -> bool {
        self.drain() != Drain::All && !self.reachability.is_failing()
    }

    /// True when uploads can succeed there.
    pub(super) fn takes_uploads(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.uploads) && self.drain() == Drain::None
    }

    /// True when downloads can succeed there: a store path answers.
    pub(super) fn serves_downloads(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.downloads)
    }

    /// How far an administrator has taken it out of service.
    pub(crate) fn drain(&self) -> Drain {
        self.report
            .as_ref()
            .map_or(Drain::None, |report| report.drain)
    }
}
