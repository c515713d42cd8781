//! One store path: whether it is the expected folder, and whether it takes writes.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};

use log::{error, info, warn};
use net::WorkerPool;
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, GroupName, IdKey};

use crate::config::Reserve;
use crate::config::{Config, folder_of};
use crate::disks::avoided_folders::{Added, AvoidedFolders};
use crate::disks::disk_error::{DiskError, disk_fault, may_concern_folder_only};
use crate::disks::expected_folder::{Access, ExpectedFolder};
use crate::disks::folder_id::FolderId;
use crate::disks::folder_tag::FolderTag;
use crate::disks::limiter::{DiskCaller, DiskLimiter, Permit};
use crate::disks::marker::Marker;
use crate::disks::path_health::PathHealth;
use crate::disks::root::{Lookup, Root, split};
use crate::disks::space::{ReservationError, Space, SpaceReservation, SpaceTracker};

mod probing;

/// A folder that holds files.
pub(crate) struct StorePath {
    /// The folder, as rows spell it.
    pub(crate) text: String,
    /// The key of its numbers: the path as configured.
    pub(crate) key: IdKey,
    space_tracker: Arc<SpaceTracker>,
    limiter: DiskLimiter,
    lookup: Lookup,
    expected: ExpectedFolder,
    /// The open folder, shared by all users. Without users it is closed, so that the volume can be
    /// unmounted.
    open: Mutex<Weak<Root>>,
    /// The folder that the latest check accepted.
    known: Mutex<Option<FolderId>>,
    state: Mutex<State>,
    avoided: AvoidedFolders,
}

struct State {
    health: PathHealth,
    /// The folder in which the latest failure occurred, relative to the store path.
    failed_in: String,
}

impl StorePath {
    /// A store path whose folder had the tag `known` when it was last in use.
    ///
    /// With [`Access::Write`] and without `require_marker`, a missing store path that was never used is
    /// created, and one whose folder was replaced or removed is away until its folder is back. In
    /// all other cases these are errors.
    ///
    /// # Errors
    /// It cannot be created, or is not the expected folder.
    pub(crate) fn open(
        text: &str,
        config: &Config,
        access: Access,
        known: Option<FolderTag>,
        limiter: DiskLimiter,
    ) -> anyhow::Result<StorePath> {
        let lookup = Lookup::of_this_system();
        let must_be_there = config.require_marker || access == Access::Read;
        let may_be_away = known.is_some() && !must_be_there;
        if known.is_none() && !must_be_there {
            base::folders::create_all(text.as_ref())?;
        }
        let marker = config
            .require_marker
            .then(|| Marker::new(&config.group, folder_of(text)));
        let expected = match known {
            Some(tag) => ExpectedFolder::Folder {
                marker,
                tag: OnceLock::from(tag),
            },
            None => {
                ExpectedFolder::at_first_sight(&Root::open(text, lookup)?, text, access, marker)?
            }
        };
        let store_path = StorePath::new(text, config, lookup, expected, limiter)?;
        match store_path.measured() {
            Ok(root) if access == Access::Write => store_path.write_probes(&root),
            Ok(_) => {}
            Err(e) if may_be_away => store_path.set_health(PathHealth::Away(e.to_string()), ""),
            Err(e) => return Err(e.into()),
        }
        Ok(store_path)
    }

    /// The tag of its folder, if there is one.
    pub(crate) fn tag(&self) -> Option<&FolderTag> {
        match &self.expected {
            ExpectedFolder::Folder { tag, .. } => tag.get(),
            ExpectedFolder::Any => None,
        }
    }

    /// A warning while its folder has no tag, if it should have one.
    pub(crate) fn tag_warning(&self) -> Option<String> {
        self.expected.lacks_tag().then(|| {
            let text = &self.text;
            format!("{text} has no tag: another folder in its place goes unnoticed after a restart")
        })
    }

    /// A folder with files of an earlier configuration or of the C++ system.
    ///
    /// # Errors
    /// The folder is missing.
    pub(crate) fn open_former(
        text: &str,
        config: &Config,
        limiter: DiskLimiter,
    ) -> anyhow::Result<StorePath> {
        let lookup = Lookup::of_this_system();
        let store_path = StorePath::new(text, config, lookup, ExpectedFolder::Any, limiter)?;
        store_path.folder()?;
        Ok(store_path)
    }

    fn new(
        text: &str,
        config: &Config,
        lookup: Lookup,
        expected: ExpectedFolder,
        limiter: DiskLimiter,
    ) -> anyhow::Result<StorePath> {
        Ok(StorePath {
            text: folder_of(text).to_owned(),
            key: IdKey::new(text)?,
            space_tracker: Arc::new(SpaceTracker::new(config.reserved_space)),
            limiter,
            lookup,
            expected,
            open: Mutex::default(),
            known: Mutex::new(None),
            state: Mutex::new(State {
                health: PathHealth::Writable,
                failed_in: String::new(),
            }),
            avoided: AvoidedFolders::default(),
        })
    }

    /// Gives a permit and the open folder, which was checked. What is opened relative to it never
    /// lands beneath an unmounted mount point.
    ///
    /// # Errors
    /// The volume is away, or does not answer.
    pub(crate) fn acquire(&self, caller: DiskCaller) -> io::Result<(Arc<Root>, Permit)> {
        let permit = self.limiter.acquire(caller)?;
        Ok((self.folder()?, permit))
    }

    fn folder(&self) -> io::Result<Arc<Root>> {
        let open = self.open.lock().upgrade();
        if let Some(root) = open
            && FolderId::at(&self.text)? == root.id()
        {
            return Ok(root);
        }
        let root = Arc::new(Root::open(&self.text, self.lookup)?);
        let known = *self.known.lock();
        if known != Some(root.id()) {
            self.expected.check(&root, known)?;
            *self.known.lock() = Some(root.id());
        }
        *self.open.lock() = Arc::downgrade(&root);
        Ok(root)
    }

    /// Changes the space that uploads leave free.
    pub(crate) fn set_reserved_space(&self, reserve: Reserve) {
        self.space_tracker.set_reserved_space(reserve);
    }

    pub(crate) fn health(&self) -> PathHealth {
        self.state.lock().health.clone()
    }

    /// Names the folders that uploads avoid, with the reasons; none without such folders.
    pub(crate) fn folder_warning(&self) -> Option<String> {
        let folders = self.avoided.describe();
        (!folders.is_empty()).then(|| format!("{}: {folders}", self.text))
    }

    /// Warns when uploads in progress have claimed most of the free space.
    pub(crate) fn claims_warning(&self) -> Option<String> {
        let space = self.space();
        let Space { free, claimed, .. } = space;
        space.is_mostly_claimed().then(|| {
            let text = &self.text;
            format!("{text}: uploads in progress hold {claimed} of {free} free bytes, unsent")
        })
    }

    /// The space as of the latest probe.
    pub(crate) fn space(&self) -> Space {
        self.space_tracker.space()
    }

    /// True if it took uploads at the latest probe. Never blocks.
    pub(crate) fn takes_uploads(&self) -> bool {
        self.health() == PathHealth::Writable
            && !self.space_tracker.is_full()
            && !self.limiter.hangs()
    }

    /// True if it served files at the latest probe. Never blocks.
    pub(crate) fn serves_downloads(&self) -> bool {
        !matches!(self.health(), PathHealth::Away(_)) && !self.limiter.hangs()
    }

    /// Reserves space for a file of `size` bytes from an address.
    ///
    /// # Errors
    /// No space, read-only, busy, or unavailable.
    pub(crate) fn reserve(&self, size: u64, address: IpAddr) -> Result<SpaceReservation, Fault> {
        let code = match self.health() {
            PathHealth::Writable => None,
            PathHealth::Full(_) => Some(ErrorCode::NoSpace),
            PathHealth::ReadOnly(_) | PathHealth::Failed(_) | PathHealth::Away(_) => {
                Some(ErrorCode::ReadOnly)
            }
        };
        if let Some(code) = code {
            let text = format!("{} takes no uploads now", self.text);
            return Err(Fault::new(code, text));
        }
        let reserved = self
            .acquire(DiskCaller::Request(WorkerPool::Slow))
            .and_then(|(folder, _permit)| self.space_tracker.reserve(folder, size, address));
        match reserved {
            Ok(Ok(reservation)) => Ok(reservation),
            Ok(Err(ReservationError::TooMuchForOne)) => {
                let text = format!(
                    "{} has room promised to {address} that is not used yet, half of all",
                    self.text
                );
                Err(Fault::new(ErrorCode::Busy, text))
            }
            Ok(Err(ReservationError::NoSpace)) => {
                let text = format!(
                    "no room for {size} bytes above the reserve of {}",
                    self.text
                );
                Err(Fault::new(ErrorCode::NoSpace, text))
            }
            Err(e) => {
                self.note_failure("", &e);
                Err(disk_fault(&self.text, &e))
            }
        }
    }

    /// True if uploads avoid the folder of a file.
    pub(crate) fn avoids(&self, path: &str) -> bool {
        self.avoided.contains(self.folder_of_file(path))
    }

    /// Avoids the folder of a file until a probe succeeds there, if the error may concern that folder
    /// only. Returns true if the folder is avoided now.
    pub(crate) fn avoid(&self, path: &str, error: &io::Error) -> bool {
        let folder = self.folder_of_file(path);
        let added = self.avoided.add(folder, error);
        if added == Added::Now {
            warn!(
                "{}: folder {folder} takes no files, uploads go to others: {error}",
                self.text
            );
        }
        added != Added::No
    }

    /// The folder of a file of this store path, relative to it.
    fn folder_of_file<'a>(&self, path: &'a str) -> &'a str {
        let relative = path.strip_prefix(&self.text).unwrap_or(path);
        split(relative.trim_start_matches('/')).0
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
        let health = match DiskError::of(error) {
            DiskError::NoSpace => PathHealth::Full(text),
            DiskError::ProcessLimit => return,
            DiskError::Volume | DiskError::File if self.is_marked() => PathHealth::ReadOnly(text),
            DiskError::Volume | DiskError::File => PathHealth::Failed(text),
        };
        self.set_health(health, self.folder_of_file(path));
    }

    fn is_former(&self) -> bool {
        matches!(self.expected, ExpectedFolder::Any)
    }

    fn is_marked(&self) -> bool {
        let ExpectedFolder::Folder { marker, .. } = &self.expected else {
            return false;
        };
        marker.is_some()
    }

    pub(crate) fn run_probe(&self) {
        self.monitored(|_| self.probe());
    }

    /// Runs the closing thread, see [`DiskLimiter::close_files`]; returns after
    /// [`StorePath::end_closing`].
    pub(crate) fn close_files(&self) {
        self.limiter.close_files();
    }

    /// Ends the closing thread, unless the disk holds it.
    pub(crate) fn end_closing(&self) {
        self.limiter.end();
    }

    /// Runs `work` at the disk while [`StorePath::check_hang`] measures its time. Work of several steps
    /// calls its argument before each step, which restarts the measurement.
    pub(crate) fn monitored(&self, work: impl FnOnce(&dyn Fn())) {
        self.limiter.begin_probe();
        work(&|| self.limiter.begin_probe());
        if self.limiter.end_probe() {
            info!("{} answers again", self.text);
        }
    }

    /// Whether the disk is known to hang.
    pub(crate) fn hangs(&self) -> bool {
        self.limiter.hangs()
    }

    /// Checks whether the disk answers in time. Never blocks.
    pub(crate) fn check_hang(&self) {
        if self.limiter.check_timeout() {
            let n = self.limiter.n_permits();
            error!(
                "{} hangs, with {n} requests: its files are out of reach",
                self.text
            );
        }
    }

    /// Changes the health for a reason found in the folder `at`, and logs the change.
    fn set_health(&self, new: PathHealth, at: &str) {
        let mut state = self.state.lock();
        if state.health.is_like(&new) || matches!(state.health, PathHealth::Failed(_)) {
            return;
        }
        match &new {
            PathHealth::Writable if self.is_former() => info!("{} is back", self.text),
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

/// Marks a mounted volume as the store path of a group. Returns whether the marker is new, and the
/// tag of its folder.
///
/// # Errors
/// The folder is missing, belongs to another store, or cannot be written.
pub(crate) fn init(text: &str, group: &GroupName) -> io::Result<(bool, FolderTag)> {
    let root = Root::open(text, Lookup::of_this_system())?;
    let is_new = Marker::new(group, folder_of(text)).write(&root)?;
    Ok((is_new, FolderTag::make(&root)?))
}

#[cfg(test)]
pub(crate) mod tests;
