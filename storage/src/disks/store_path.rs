//! One store path: the expected folder, the limiter of its disk, its space and its health.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};

use base::Stop;
use log::{error, info};
use net::WorkerPool;
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, GroupName, IdKey};

use crate::config::{Config, Reserve, folder_of};
use crate::disks::disk_error::disk_fault;
use crate::disks::expected_folder::{Access, ExpectedFolder};
use crate::disks::folder_id::FolderId;
use crate::disks::identity_files::{FolderTag, Marker};
use crate::disks::limiter::{DiskCaller, DiskLimiter, Permit};
use crate::disks::open_files::OpenFiles;
use crate::disks::root::{Lookup, Root};
use crate::disks::space::{ReservationError, Space, SpaceReservation, SpaceTracker};
use health::State;
pub(crate) use health::{PATH_STATES, PathHealth};

mod health;
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
    /// The open folder, shared by all users. Without users, of which kept files are one, it is closed, so
    /// that the volume can be unmounted.
    open: Mutex<Weak<Root>>,
    open_files: Arc<OpenFiles>,
    state: Mutex<State>,
}

/// A file by its store path's open folder and its path relative to that. It holds a permit, so it is
/// kept only while the disk is used.
pub(crate) struct ResolvedPath {
    pub(crate) root: Arc<Root>,
    pub(crate) relative: String,
    /// The part of the row's path before `relative`, with the slash.
    pub(crate) prefix: String,
    pub(crate) permit: Permit,
    pub(crate) open_files: Arc<OpenFiles>,
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
        let is_known = known.is_some();
        let must_be_there = config.require_marker || access == Access::Read;
        let marker = config
            .require_marker
            .then(|| Marker::new(&config.group, folder_of(text)));
        let expected = ExpectedFolder {
            marker,
            tag: known.map(OnceLock::from).unwrap_or_default(),
            ..ExpectedFolder::default()
        };
        let store_path = StorePath::new(text, config, expected, limiter)?;
        if !is_known {
            if !must_be_there {
                base::folders::create_all(text.as_ref())?;
            }
            let root = Root::open(text, store_path.lookup)?;
            store_path.expected.accept_first(&root, text, access)?;
        }
        match store_path.measured() {
            Ok(root) if access == Access::Write => store_path.write_probes(&root),
            Ok(_) => {}
            Err(e) if is_known && !must_be_there => {
                store_path.set_health(PathHealth::Away(e.to_string()), "");
            }
            Err(e) => return Err(e.into()),
        }
        Ok(store_path)
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
        let expected = ExpectedFolder {
            is_former: true,
            ..ExpectedFolder::default()
        };
        let store_path = StorePath::new(text, config, expected, limiter)?;
        store_path.folder()?;
        Ok(store_path)
    }

    fn new(
        text: &str,
        config: &Config,
        expected: ExpectedFolder,
        limiter: DiskLimiter,
    ) -> anyhow::Result<StorePath> {
        Ok(StorePath {
            text: folder_of(text).to_owned(),
            key: IdKey::new(text)?,
            space_tracker: Arc::new(SpaceTracker::new(config.reserved_space)),
            limiter,
            lookup: Lookup::of_this_system(),
            expected,
            open: Mutex::default(),
            open_files: Arc::new(OpenFiles::new(config.open_files_per_path())),
            state: Mutex::default(),
        })
    }

    /// The tag of its folder, if there is one.
    pub(crate) fn tag(&self) -> Option<&FolderTag> {
        self.expected.tag.get()
    }

    /// A warning while its folder has no tag, if it should have one.
    pub(crate) fn tag_warning(&self) -> Option<String> {
        self.expected.lacks_tag().then(|| {
            let text = &self.text;
            format!("{text} has no tag: another folder in its place goes unnoticed after a restart")
        })
    }

    /// Gives a permit and the open folder, which was checked. What is opened relative to it never
    /// lands beneath an unmounted mount point.
    ///
    /// # Errors
    /// The volume is away, or does not answer.
    pub(crate) fn resolve(&self, relative: &str, caller: DiskCaller) -> io::Result<ResolvedPath> {
        let permit = self.limiter.acquire(caller)?;
        Ok(ResolvedPath {
            root: self.folder()?,
            relative: relative.to_owned(),
            prefix: format!("{}/", self.text),
            permit,
            open_files: Arc::clone(&self.open_files),
        })
    }

    /// The files of this store path that are kept open.
    pub(crate) fn open_files(&self) -> &OpenFiles {
        &self.open_files
    }

    fn folder(&self) -> io::Result<Arc<Root>> {
        let open = self.open.lock().upgrade();
        let found = open.is_some().then(|| FolderId::at(&self.text));
        if let Some((root, Ok(id))) = open.zip(found.as_ref())
            && *id == root.id()
        {
            return Ok(root);
        }
        // The volume is away, or another folder is in its place.
        self.open_files.clear();
        if let Some(Err(e)) = found {
            return Err(e);
        }
        let root = Arc::new(Root::open(&self.text, self.lookup)?);
        self.expected.check(&root)?;
        *self.open.lock() = Arc::downgrade(&root);
        Ok(root)
    }

    /// Changes the space that uploads leave free.
    pub(crate) fn set_reserved_space(&self, reserve: Reserve) {
        self.space_tracker.set_reserved_space(reserve);
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

    /// Checks whether an upload of `size` bytes has a chance, before it takes a number. Never blocks.
    ///
    /// # Errors
    /// No space, read-only, or unavailable.
    pub(crate) fn check_uploads(&self, size: u64) -> Result<(), Fault> {
        if self.hangs() {
            let text = format!("{}: the disk does not answer", self.text);
            return Err(Fault::new(ErrorCode::Unavailable, text));
        }
        let code = match self.health() {
            PathHealth::Writable if self.space_tracker.is_full() => {
                return Err(self.no_space(size));
            }
            PathHealth::Writable => return Ok(()),
            PathHealth::Full(_) => ErrorCode::NoSpace,
            PathHealth::ReadOnly(_) | PathHealth::Failed(_) | PathHealth::Away(_) => {
                ErrorCode::ReadOnly
            }
        };
        let text = format!("{} takes no uploads now", self.text);
        Err(Fault::new(code, text))
    }

    /// Takes a permit for a new file, and reserves space for its `size` bytes from an address.
    ///
    /// # Errors
    /// No space, read-only, busy, or unavailable.
    pub(crate) fn reserve(
        &self,
        path: &str,
        size: u64,
        address: IpAddr,
    ) -> Result<(ResolvedPath, SpaceReservation), Fault> {
        let caller = DiskCaller::Request(WorkerPool::Slow);
        let reserved = self.resolve(self.relative(path), caller).and_then(|at| {
            let reserved = self.space_tracker.reserve(&at.root, size, address)?;
            Ok(reserved.map(|reservation| (at, reservation)))
        });
        match reserved {
            Ok(Ok(reserved)) => Ok(reserved),
            Ok(Err(ReservationError::TooMuchForOne)) => {
                let text = format!(
                    "{} has room promised to {address} that is not used yet, half of all",
                    self.text
                );
                Err(Fault::new(ErrorCode::Busy, text))
            }
            Ok(Err(ReservationError::NoSpace)) => Err(self.no_space(size)),
            Err(e) => {
                self.note_failure("", &e);
                Err(disk_fault(&self.text, &e))
            }
        }
    }

    fn no_space(&self, size: u64) -> Fault {
        let text = format!(
            "no room for {size} bytes above the reserve of {}",
            self.text
        );
        Fault::new(ErrorCode::NoSpace, text)
    }

    /// The path of a file of this store path, relative to it.
    fn relative<'a>(&self, path: &'a str) -> &'a str {
        let relative = path.strip_prefix(&self.text).unwrap_or(path);
        relative.trim_start_matches('/')
    }

    /// Runs the closing thread, see [`DiskLimiter::close_files`].
    pub(crate) fn close_files(&self, stop: &Stop) {
        self.limiter.close_files(stop);
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
