//! Requests for files of other groups. They mean that trackers route a user to another group than
//! the one that has the files, as after a loss of the trackers' database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::LogThrottle;
use daemon::metrics::IntCounter;
use log::warn;
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, FileKey, GroupName};

use crate::state::warnings::Warnings;

/// How long the warning lasts after a request.
const WARNING_TIME: Duration = Duration::from_secs(3600);

/// The latest request for a file of another group.
pub(crate) struct ForeignRows {
    /// Its time, and the group that has the file.
    latest: Mutex<Option<(Instant, String)>>,
    /// Bounds the log lines: requests for files of two other groups may alternate.
    log: LogThrottle<()>,
    own_group: GroupName,
    /// Counts these requests.
    requests: IntCounter,
    warnings: Arc<Warnings>,
}

impl ForeignRows {
    pub(crate) fn new(
        own_group: GroupName,
        requests: IntCounter,
        warnings: Arc<Warnings>,
    ) -> ForeignRows {
        ForeignRows {
            latest: Mutex::default(),
            log: LogThrottle::default(),
            own_group,
            requests,
            warnings,
        }
    }

    /// Refuses a file whose row names another group. Rows of the C++ system name none and are
    /// served.
    ///
    /// # Errors
    /// Unavailable, naming the group that has the file.
    pub(crate) fn check(&self, key: &FileKey, group: Option<&str>) -> Result<(), Fault> {
        let own = self.own_group.as_str();
        let Some(other) = group.filter(|&group| group != own) else {
            return Ok(());
        };
        self.note(key, other);
        let text = format!(
            "the file belongs to group {other}, and this storage to {own}: the trackers send its \
             user to the wrong group, fileid: {}",
            key.file
        );
        Err(Fault::new(ErrorCode::Unavailable, text))
    }

    /// Counts a request that found a row of another group, and warns.
    pub(crate) fn note(&self, key: &FileKey, other: &str) {
        self.requests.inc();
        let warning = format!(
            "files of group {other} are asked for here, such as {key}: is the trackers' routing the \
             one that these files were stored by?"
        );
        let mut latest = self.latest.lock();
        if latest.as_ref().is_none_or(|(_, group)| group != other)
            && let Some(more) = self.log.due(())
        {
            warn!("files of group {other} are asked for here, such as {key}{more}");
        }
        *latest = Some((Instant::now(), other.to_owned()));
        self.warnings.set("groups", Some(warning));
    }

    /// Ends the warning when there was no such request for an hour.
    pub(crate) fn forget_old(&self, now: Instant) {
        let mut latest = self.latest.lock();
        let is_old = |when: Instant| now.saturating_duration_since(when) >= WARNING_TIME;
        if latest.take_if(|(when, _)| is_old(*when)).is_some() {
            self.warnings.set("groups", None);
        }
    }
}
