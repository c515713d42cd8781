//! The health of a store path: whether it may take and serve files.

use std::io;

use log::{error, info, warn};

use super::StorePath;
use crate::disks::disk_error::{DiskError, may_concern_folder_only};
use crate::disks::root::split;

/// Limit on avoided folders. A failure in a further folder counts as one of the store path.
const AVOIDED_MAX: usize = 2;

/// The health of a store path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum PathHealth {
    /// It reads and writes.
    #[default]
    Writable,
    /// It reads; a write found no space, perhaps by a quota. The probe tries again.
    Full(String),
    /// It reads; a write failed. The probe tries again.
    ReadOnly(String),
    /// It reads, until a restart. A sync failed, and the kernel may have dropped data, which another
    /// sync does not show.
    Failed(String),
    /// It does neither: the volume is away, or another folder is in its place.
    Away(String),
}

impl PathHealth {
    /// The health after a failed write; none if the error does not concern the volume.
    pub(super) fn after(error: &io::Error) -> Option<PathHealth> {
        match DiskError::of(error) {
            DiskError::NoSpace => Some(PathHealth::Full(error.to_string())),
            DiskError::Volume => Some(PathHealth::ReadOnly(error.to_string())),
            DiskError::ProcessLimit | DiskError::File => None,
        }
    }

    /// True if both are the same state, whatever the reasons.
    fn is_like(&self, other: &PathHealth) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) health: PathHealth,
    /// The folder in which the latest failure occurred, relative to the store path.
    pub(super) failed_in: String,
    /// Folders that refuse files while others take them, relative to the store path, each with the
    /// reason.
    pub(super) avoided: Vec<(String, String)>,
}

impl State {
    fn avoids(&self, folder: &str) -> bool {
        self.avoided.iter().any(|(avoided, _)| avoided == folder)
    }
}

/// The states that [`StorePath::state`] names.
pub(crate) const PATH_STATES: [&str; 6] =
    ["writable", "full", "read-only", "failed", "away", "hanging"];

impl StorePath {
    pub(crate) fn health(&self) -> PathHealth {
        self.state.lock().health.clone()
    }

    /// The name of its state as of the latest probe, with the reason if one is known. Never blocks.
    pub(crate) fn state(&self) -> (&'static str, String) {
        match self.health() {
            _ if self.hangs() => ("hanging", "the disk does not answer".to_owned()),
            PathHealth::Writable if self.space_tracker.is_full() => ("full", String::new()),
            PathHealth::Writable => ("writable", String::new()),
            PathHealth::Full(why) => ("full", why),
            PathHealth::ReadOnly(why) => ("read-only", why),
            PathHealth::Failed(why) => ("failed", why),
            PathHealth::Away(why) => ("away", why),
        }
    }

    /// True if it took uploads at the latest probe. Never blocks.
    pub(crate) fn takes_uploads(&self) -> bool {
        self.state().0 == "writable"
    }

    /// True if it served files at the latest probe. Never blocks.
    pub(crate) fn serves_downloads(&self) -> bool {
        !matches!(self.health(), PathHealth::Away(_)) && !self.hangs()
    }

    /// True if uploads avoid the folder of a file.
    pub(crate) fn avoids(&self, path: &str) -> bool {
        self.state.lock().avoids(self.folder_of_file(path))
    }

    /// Avoids the folder of a file until a probe succeeds there, if the error may concern that folder
    /// only. Returns true if the folder is avoided now.
    pub(crate) fn avoid(&self, path: &str, error: &io::Error) -> bool {
        let folder = self.folder_of_file(path);
        let mut state = self.state.lock();
        if !may_concern_folder_only(error) {
            return false;
        }
        // Another upload may have met the error first.
        if !state.avoids(folder) {
            if state.avoided.len() >= AVOIDED_MAX {
                return false;
            }
            warn!(
                "{}: folder {folder} takes no files, uploads go to others: {error}",
                self.text
            );
            state.avoided.push((folder.to_owned(), error.to_string()));
        }
        true
    }

    /// Names the folders that uploads avoid, with the reasons; none without such folders.
    pub(crate) fn folder_warning(&self) -> Option<String> {
        let state = self.state.lock();
        let avoided = state.avoided.iter();
        let texts: Vec<_> = avoided
            .map(|(folder, why)| format!("folder {folder} takes no files: {why}"))
            .collect();
        (!texts.is_empty()).then(|| format!("{}: {}", self.text, texts.join("; ")))
    }

    /// The folder of a file of this store path, relative to it.
    fn folder_of_file<'a>(&self, path: &'a str) -> &'a str {
        split(self.relative(path)).0
    }

    /// Changes the health after a failed write to the file at `path`.
    pub(crate) fn note_failure(&self, path: &str, error: &io::Error) {
        let of_folder =
            || may_concern_folder_only(error).then(|| PathHealth::ReadOnly(error.to_string()));
        if let Some(health) = PathHealth::after(error).or_else(of_folder) {
            self.set_health(health, self.folder_of_file(path));
        }
    }

    /// Changes the health after a failed sync. On a marked volume it may be a lost quorum, which comes
    /// back. A local disk is not trusted again until a restart: the kernel may have dropped data. A
    /// sync may also be the first to find no space.
    pub(crate) fn note_failed_sync(&self, path: &str, error: &io::Error) {
        let text = format!("sync failed: {error}");
        let is_marked = self.expected.marker.is_some();
        let health = match DiskError::of(error) {
            DiskError::NoSpace => PathHealth::Full(text),
            DiskError::ProcessLimit => return,
            DiskError::Volume | DiskError::File if is_marked => PathHealth::ReadOnly(text),
            DiskError::Volume | DiskError::File => PathHealth::Failed(text),
        };
        self.set_health(health, self.folder_of_file(path));
    }

    /// Changes the health for a reason found in the folder `at`, and logs the change.
    pub(super) fn set_health(&self, new: PathHealth, at: &str) {
        let mut state = self.state.lock();
        if state.health.is_like(&new) || matches!(state.health, PathHealth::Failed(_)) {
            return;
        }
        match &new {
            PathHealth::Writable if self.expected.is_former => info!("{} is back", self.text),
            PathHealth::Writable => info!("{} takes uploads again", self.text),
            PathHealth::Full(why) | PathHealth::ReadOnly(why) => {
                error!("{} takes no uploads: {why}", self.text);
            }
            PathHealth::Failed(why) => {
                error!(
                    "{} takes no uploads until a restart, check the disk: {why}",
                    self.text
                );
            }
            PathHealth::Away(why) => error!("{} is away: {why}", self.text),
        }
        state.health = new;
        at.clone_into(&mut state.failed_in);
    }
}
