//! One folder that holds files: is it the volume it should be, and does it take writes?

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use log::{error, info, warn};
use net::WorkerPool;
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, GroupName, IdKey};

use crate::avoided::AvoidedFolders;
use crate::beneath::{Lookup, Root, split};
use crate::config::{Config, folder_of};
use crate::disk_error::{DiskError, may_be_of_the_folder};
use crate::expected::Expected;
use crate::folder_id::{FolderId, Tag};
use crate::gate::{Gate, Pass, Visitor};
use crate::health::Health;
use crate::marker::Marker;
use crate::reserve::Reserve;
use crate::space::{Ledger, NoPromise, Promise, Space};
use crate::upload::disk_fault;

mod probing;

/// One folder that holds files.
pub(crate) struct StorePath {
    /// The folder, as rows spell it.
    pub(crate) text: String,
    /// The key of its numbers: the path as configured.
    pub(crate) key: IdKey,
    ledger: Arc<Ledger>,
    gate: Gate,
    lookup: Lookup,
    expected: Expected,
    /// The folder, as long as somebody has it open: all share one descriptor. Kept open by nobody
    /// it would keep the volume from being unmounted.
    open: Mutex<Weak<Root>>,
    /// The numbers of the folder that was last found to be the right one.
    known: Mutex<Option<FolderId>>,
    state: Mutex<State>,
    avoided: AvoidedFolders,
}

struct State {
    health: Health,
    /// The folder below in which the last failure was met; empty for the store path itself.
    failed_in: String,
}

/// What opening a store path may change on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Files are to be stored: what is missing is made, and a write is tried.
    Write,
    /// Nothing.
    Read,
}

impl StorePath {
    /// A store path whose folder had the tag `known` when it was last in use.
    ///
    /// One that was never in use is made when it is missing, for writing and without
    /// `require_marker`. One that was and is another folder now, or none, is away: it comes into use
    /// when its folder is back. With `require_marker`, or for reading, that is an error.
    ///
    /// # Errors
    /// It cannot be made, or is not the volume it should be.
    pub(crate) fn open(
        text: &str,
        config: &Config,
        access: Access,
        known: Option<Tag>,
        gate: Gate,
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
            Some(tag) => Expected::Folder {
                marker,
                tag: Some(tag),
            },
            None => Expected::at_first_sight(&Root::open(text, lookup)?, text, access, marker)?,
        };
        let store_path = StorePath::new(text, config, lookup, expected, gate)?;
        match store_path.measured() {
            Ok(root) if access == Access::Write => store_path.write_probes(&root),
            Ok(_) => {}
            Err(e) if may_be_away => store_path.turn(Health::Away(e.to_string()), ""),
            Err(e) => return Err(e.into()),
        }
        Ok(store_path)
    }

    /// The tag of its folder, if that has one.
    pub(crate) fn tag(&self) -> Option<&Tag> {
        match &self.expected {
            Expected::Folder { tag, .. } => tag.as_ref(),
            Expected::Any => None,
        }
    }

    /// A folder of files that an earlier configuration, or the C++ system, has stored.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn open_former(
        text: &str,
        config: &Config,
        gate: Gate,
    ) -> anyhow::Result<StorePath> {
        let lookup = Lookup::of_this_system();
        let store_path = StorePath::new(text, config, lookup, Expected::Any, gate)?;
        store_path.folder()?;
        Ok(store_path)
    }

    fn new(
        text: &str,
        config: &Config,
        lookup: Lookup,
        expected: Expected,
        gate: Gate,
    ) -> anyhow::Result<StorePath> {
        Ok(StorePath {
            text: folder_of(text).to_owned(),
            key: IdKey::new(text)?,
            ledger: Arc::new(Ledger::new(config.reserved_space)),
            gate,
            lookup,
            expected,
            open: Mutex::default(),
            known: Mutex::new(None),
            state: Mutex::new(State {
                health: Health::Writable,
                failed_in: String::new(),
            }),
            avoided: AvoidedFolders::default(),
        })
    }

    /// Lets a visitor in and opens the folder, known to be the right one: what is opened relative to
    /// it never lands beneath an unmounted mount point, whatever happens to the mount meanwhile.
    ///
    /// # Errors
    /// The volume is not there, or does not answer.
    pub(crate) fn enter(&self, visitor: Visitor) -> io::Result<(Arc<Root>, Pass)> {
        let pass = self.gate.enter(visitor)?;
        Ok((self.folder()?, pass))
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

    /// Leaves so much free from now on.
    pub(crate) fn reserve(&self, reserve: Reserve) {
        self.ledger.reserve(reserve);
    }

    /// What it can do, as far as is known.
    pub(crate) fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// Which of its folders uploads pass over, and why, if there are any.
    pub(crate) fn folder_warning(&self) -> Option<String> {
        let folders = self.avoided.describe();
        (!folders.is_empty()).then(|| format!("{}: {folders}", self.text))
    }

    /// That uploads in progress hold most of the room, if they do.
    pub(crate) fn promise_warning(&self) -> Option<String> {
        let space = self.space();
        let Space { free, promised, .. } = space;
        space.is_mostly_promised().then(|| {
            let text = &self.text;
            format!("{text}: uploads in progress hold {promised} of {free} free bytes, unsent")
        })
    }

    /// How much room there is, as of the last probe.
    pub(crate) fn space(&self) -> Space {
        self.ledger.space()
    }

    /// Whether an upload had a chance as of the last probe. Never waits.
    pub(crate) fn takes_uploads(&self) -> bool {
        self.health() == Health::Writable && !self.ledger.is_full() && !self.gate.hangs()
    }

    /// Whether a download had a chance as of the last probe. Never waits.
    pub(crate) fn serves_downloads(&self) -> bool {
        !matches!(self.health(), Health::Away(_)) && !self.gate.hangs()
    }

    /// Promises room for a file of `size` bytes from an address, if it takes uploads.
    ///
    /// # Errors
    /// No space, read-only, busy, or unavailable.
    pub(crate) fn promise(&self, size: u64, address: IpAddr) -> Result<Promise, Fault> {
        let code = match self.health() {
            Health::Writable => None,
            Health::Full(_) => Some(ErrorCode::NoSpace),
            Health::ReadOnly(_) | Health::Failed(_) | Health::Away(_) => Some(ErrorCode::ReadOnly),
        };
        if let Some(code) = code {
            let text = format!("{} takes no uploads now", self.text);
            return Err(Fault::new(code, text));
        }
        let promised = self
            .enter(Visitor::Worker(WorkerPool::Slow))
            .and_then(|(folder, _pass)| self.ledger.promise(folder, size, address));
        match promised {
            Ok(Ok(promise)) => Ok(promise),
            Ok(Err(NoPromise::TooMuchForOne)) => {
                let text = format!(
                    "{} has room promised to {address} that is not used yet, half of all",
                    self.text
                );
                Err(Fault::new(ErrorCode::Busy, text))
            }
            Ok(Err(NoPromise::NoRoom)) => {
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

    /// Whether uploads pass over the folder of a file.
    pub(crate) fn avoids(&self, path: &str) -> bool {
        self.avoided.contains(self.folder_of_file(path))
    }

    /// Passes over the folder of a file from now on if the folder alone may be to blame for the
    /// error, until a probe succeeds there. Tells whether it does.
    pub(crate) fn avoid(&self, path: &str, error: &io::Error) -> bool {
        let folder = self.folder_of_file(path);
        let added = self.avoided.add(folder, error);
        if added {
            warn!(
                "{}: folder {folder} takes no files, uploads go to others: {error}",
                self.text
            );
        }
        added
    }

    /// The folder of a file of this store path, relative to it.
    fn folder_of_file<'a>(&self, path: &'a str) -> &'a str {
        let relative = path.strip_prefix(&self.text).unwrap_or(path);
        split(relative.trim_start_matches('/')).0
    }

    /// Takes note of a write that failed, to the file at `path`.
    pub(crate) fn note_failure(&self, path: &str, error: &io::Error) {
        let of_folder = || may_be_of_the_folder(error).then(|| Health::ReadOnly(error.to_string()));
        if let Some(health) = Health::after(error).or_else(of_folder) {
            self.turn(health, self.folder_of_file(path));
        }
    }

    /// Takes note of a sync that failed. On a volume of a network file system a lost quorum looks
    /// like that, and comes back; a local disk is not believed again. A sync may also be the first
    /// to find no room.
    pub(crate) fn note_failed_sync(&self, path: &str, error: &io::Error) {
        let text = format!("sync failed: {error}");
        let health = match DiskError::of(error) {
            DiskError::NoRoom => Health::Full(text),
            DiskError::Exhausted => return,
            DiskError::Volume | DiskError::File if self.is_marked() => Health::ReadOnly(text),
            DiskError::Volume | DiskError::File => Health::Failed(text),
        };
        self.turn(health, self.folder_of_file(path));
    }

    fn is_former(&self) -> bool {
        matches!(self.expected, Expected::Any)
    }

    fn is_marked(&self) -> bool {
        let Expected::Folder { marker, .. } = &self.expected else {
            return false;
        };
        marker.is_some()
    }

    /// Finds out what it can do now.
    pub(crate) fn look_after(&self) {
        self.at_disk(|_| self.probe());
    }

    /// Closes files whose closing would hold whoever drops them; returns after
    /// [`StorePath::end_closing`].
    pub(crate) fn close_files(&self) {
        self.gate.close_files();
    }

    /// Ends the thread in [`StorePath::close_files`], unless the disk holds it.
    pub(crate) fn end_closing(&self) {
        self.gate.end();
    }

    /// Does something at the disk, however long that takes; [`StorePath::watch`] sees how long. Work
    /// of several steps calls what it is given before each.
    pub(crate) fn at_disk(&self, work: impl FnOnce(&dyn Fn())) {
        self.gate.ask();
        work(&|| self.gate.ask());
        if self.gate.answered() {
            info!("{} answers again", self.text);
        }
    }

    /// Whether the disk is known to hang.
    pub(crate) fn hangs(&self) -> bool {
        self.gate.hangs()
    }

    /// Looks whether the disk answers in time. Never waits for it.
    pub(crate) fn watch(&self) {
        if self.gate.watch() {
            let n = self.gate.n_inside();
            error!(
                "{} hangs, with {n} requests: its files are out of reach",
                self.text
            );
        }
    }

    /// Changes the state, for a reason met in the folder `at` below.
    fn turn(&self, new: Health, at: &str) {
        let mut state = self.state.lock();
        if state.health.is_like(&new) || matches!(state.health, Health::Failed(_)) {
            return;
        }
        match &new {
            Health::Writable if self.is_former() => info!("{} is back", self.text),
            Health::Writable => info!("{} takes uploads again", self.text),
            Health::Full(why) | Health::ReadOnly(why) => {
                error!("{} takes no uploads: {why}", self.text);
            }
            Health::Failed(why) => {
                error!(
                    "{} takes no uploads until a restart, check the disk: {why}",
                    self.text
                );
            }
            Health::Away(why) => error!("{} is away: {why}", self.text),
        }
        state.health = new;
        at.clone_into(&mut state.failed_in);
    }
}

/// Marks a mounted volume as the store path of a group. Tells whether it was not marked before, and
/// the tag of its folder.
///
/// # Errors
/// It is not there, belongs to another store, or refuses.
pub(crate) fn init(text: &str, group: &GroupName) -> io::Result<(bool, Tag)> {
    let root = Root::open(text, Lookup::of_this_system())?;
    let is_new = Marker::new(group, folder_of(text)).write(&root)?;
    Ok((is_new, Tag::make(&root)?))
}

#[cfg(test)]
pub(crate) mod tests;
