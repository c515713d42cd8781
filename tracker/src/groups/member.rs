//! One storage, as the tracker knows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::NodeId;
use proto::report::{Drain, Report};
use proto::tracker::Join;

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
    pub(crate) state: State,
    /// When it was last heard of, seconds since the epoch.
    pub(crate) beat_time: i64,
    /// What it last told of itself since it joined; a C++ storage tells nothing.
    pub(crate) report: Option<Arc<Report>>,
    /// Who it is; a C++ storage does not tell.
    pub(crate) node: Option<NodeId>,
    /// What is odd about its address.
    pub(crate) note: Option<Arc<str>>,
    /// Whether it can be connected to, as far as this tracker knows.
    pub(crate) reach: Reach,
    pub(super) heard: Duration,
    /// Which of all joins was its last.
    pub(super) join_number: u64,
}

impl Member {
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
