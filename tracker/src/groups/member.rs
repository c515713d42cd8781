//! One storage, as the tracker knows it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proto::report::{Drain, Report};
use proto::tracker::Join;
use proto::{ClusterId, NodeId};

use super::Reach;

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It joined and has not beaten since.
    Online,
    /// It beats.
    Active,
    /// It was not heard of for too long.
    Offline,
}

/// One storage in one group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// What it told when it last joined.
    pub(crate) join: Arc<Join>,
    /// Where clients reach it.
    pub(crate) addr: SocketAddr,
    /// Where the connection came from on which it last joined.
    pub(crate) peer: IpAddr,
    pub(crate) state: State,
    /// Whether it ever beat.
    pub(super) has_beaten: bool,
    /// When it was last heard of, seconds since the epoch.
    pub(crate) beat_time: i64,
    /// What it last told of itself since it joined; a C++ storage tells nothing.
    pub(crate) report: Option<Arc<Report>>,
    /// How far its clock was ahead of this tracker's when the report came, in seconds.
    pub(crate) clock_skew: i64,
    /// Who it is; a C++ storage does not tell.
    pub(crate) node: Option<NodeId>,
    pub(super) remembers: bool,
    /// The cluster it joined before, if it told.
    pub(crate) cluster: Option<ClusterId>,
    /// What is odd about its address.
    pub(crate) note: Option<Arc<str>>,
    /// Whether it can be connected to, as far as this tracker knows.
    pub(crate) reach: Reach,
    pub(super) heard: Duration,
    /// Which of all joins was its last.
    pub(super) join_number: u64,
}

impl Member {
    /// Its node id as anybody may know it. A storage of an earlier version takes orders under the id
    /// itself only.
    pub(crate) fn shown_node(&self) -> Option<NodeId> {
        let node = self.node.as_ref()?;
        Some(if self.remembers {
            node.digest()
        } else {
            node.clone()
        })
    }

    /// Whether clients are sent there while it is ACTIVE.
    pub(crate) fn is_offered(&self) -> bool {
        self.drain() != Drain::All && !self.reach.is_bad()
    }

    /// Whether uploads have a chance there.
    pub(super) fn takes_uploads(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.uploads) && self.drain() == Drain::None
    }

    /// Whether downloads have: a store path answers.
    pub(super) fn serves_downloads(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.downloads)
    }

    /// How far an administrator takes it out of service.
    pub(crate) fn drain(&self) -> Drain {
        self.report
            .as_ref()
            .map_or(Drain::None, |report| report.drain)
    }
}
