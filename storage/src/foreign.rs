//! Requests for files of other groups. Trackers send a user to one group; rows of another one say
//! that the routing has changed behind the files, as after the loss of the trackers' database.

use std::time::{Duration, Instant};

use base::LogThrottle;
use log::warn;
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, FileKey};

use crate::globals::Globals;

/// How long a request is told of.
const WARNING_TIME: Duration = Duration::from_secs(3600);

/// The latest request for a file of another group.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    latest: Mutex<Option<Found>>,
    /// Bounds the log lines: requests for files of two other groups may alternate.
    log: LogThrottle<()>,
}

#[derive(Debug)]
struct Found {
    when: Instant,
    group: String,
}

impl Foreign {
    /// Refuses the file of a row that names another group. Rows of the C++ system name none: their
    /// storages serve whatever they are asked for.
    ///
    /// # Errors
    /// Unavailable, with the group: a storage of that one has the file.
    pub(crate) fn check(
        &self,
        globals: &Globals,
        key: &FileKey,
        group: Option<&str>,
    ) -> Result<(), Fault> {
        let own = globals.config.group.as_str();
        let Some(other) = group.filter(|&group| group != own) else {
            return Ok(());
        };
        self.note(globals, key, other);
        let text = format!(
            "the file belongs to group {other}, and this storage to {own}: the trackers send its \
             user to the wrong group, fileid: {}",
            key.file
        );
        Err(Fault::new(ErrorCode::Unavailable, text))
    }

    /// Counts a request that met a row of another group.
    pub(crate) fn note(&self, globals: &Globals, key: &FileKey, other: &str) {
        globals.metrics.foreign_rows.inc();
        let warning = format!(
            "files of group {other} are asked for here, such as {key}: is the trackers' routing the \
             one that these files were stored by?"
        );
        let mut found = self.latest.lock();
        if found.as_ref().is_none_or(|found| found.group != other)
            && let Some(more) = self.log.due(())
        {
            warn!("files of group {other} are asked for here, such as {key}{more}");
        }
        *found = Some(Found {
            when: Instant::now(),
            group: other.to_owned(),
        });
        globals.warnings.set("groups", Some(warning));
    }

    /// Ends the warning when there was no such request for an hour.
    pub(crate) fn forget_old(&self, globals: &Globals, now: Instant) {
        let mut found = self.latest.lock();
        let is_old = |found: &mut Found| now.saturating_duration_since(found.when) >= WARNING_TIME;
        if found.take_if(is_old).is_some() {
            globals.warnings.set("groups", None);
        }
    }
}
