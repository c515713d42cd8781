//! One folder that holds files: is it the volume it should be, and does it take writes?

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use daemon::wire::Lane;
use log::{error, info};
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, GroupName, IdKey};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::config::{Config, folder_of};
use crate::gate::{Gate, Pass, Visitor};
use crate::marker::Marker;
use crate::reserve::Reserve;
use crate::space::{Ledger, Promise, Space};
use crate::upload::disk_fault;

/// What a probe writes to learn whether a store path takes writes.
pub(crate) const PROBE: &str = ".tnv-probe";

/// A request that is at a disk for this long makes one ask whether the disk answers at all.
const SUSPICIOUS: Duration = Duration::from_secs(1);

/// One folder that holds files.
pub(crate) struct StorePath {
    /// The folder, as rows spell it.
    pub(crate) text: String,
    /// The key of its numbers: the path as configured.
    pub(crate) key: IdKey,
    ledger: Arc<Ledger>,
    gate: Gate,
    /// Absent for a folder that is taken as it is.
    marker: Option<Marker>,
    /// Device and inode of the folder in which the marker was found.
    verified: Mutex<Option<(u64, u64)>>,
    health: Mutex<Health>,
}

/// What a store path can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// Reads and writes.
    Writable,
    /// Reads; a write found no room, by a quota perhaps. Tried again by the probe.
    Full(String),
    /// Reads, it seems; tried again by the probe.
    ReadOnly(String),
    /// Reads, until the next start: a sync failed, and what the kernel dropped once cannot be
    /// synced by trying again.
    Failed(String),
    /// Neither: the volume is not there.
    Away(String),
}

impl StorePath {
    /// A store path that is there. Without `require_marker` it is made when missing; with it, its
    /// volume must be mounted.
    ///
    /// # Errors
    /// It cannot be made, or is not the volume it should be.
    pub(crate) fn open(text: &str, config: &Config, gate: Gate) -> anyhow::Result<StorePath> {
        let marked = config.require_marker;
        if !marked {
            std::fs::create_dir_all(text)?;
        }
        let key = IdKey::new(text)?;
        let text = folder_of(text);
        let store_path = StorePath {
            text: text.to_owned(),
            key,
            ledger: Arc::new(Ledger::new(config.reserved_space)),
            gate,
            marker: marked.then(|| Marker::new(&config.group, text)),
            verified: Mutex::new(None),
            health: Mutex::new(Health::Writable),
        };
        let folder = store_path.folder()?;
        store_path.measure(&folder)?;
        store_path.turn(after_probe(&folder));
        Ok(store_path)
    }

    /// Lets a visitor in and opens the folder, known to be the right one: what is opened relative to
    /// it never lands beneath an unmounted mount point, whatever happens to the mount meanwhile.
    ///
    /// # Errors
    /// The volume is not there, or does not answer.
    pub(crate) fn enter(&self, visitor: Visitor) -> io::Result<(OwnedFd, Pass)> {
        let pass = self.gate.enter(visitor)?;
        Ok((self.folder()?, pass))
    }

    fn folder(&self) -> io::Result<OwnedFd> {
        let folder = open_folder(&self.text)?;
        if let Some(marker) = &self.marker {
            let stat = rustix::fs::fstat(&folder)?;
            let identity = Some((stat.st_dev, stat.st_ino));
            if *self.verified.lock() != identity {
                marker.check(&folder)?;
                *self.verified.lock() = identity;
            }
        }
        Ok(folder)
    }

    /// Leaves so much free from now on.
    pub(crate) fn reserve(&self, reserve: Reserve) {
        self.ledger.reserve(reserve);
    }

    /// What it can do, as far as is known.
    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
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
        !matches!(*self.health.lock(), Health::Away(_)) && !self.gate.hangs()
    }

    /// Promises room for a file of `size` bytes, if it takes uploads.
    ///
    /// # Errors
    /// No space, read-only, or unavailable.
    pub(crate) fn promise(&self, size: u64) -> Result<Promise, Fault> {
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
            .enter(Visitor::Worker(Lane::Slow))
            .and_then(|(folder, _pass)| self.ledger.promise(folder, size));
        match promised {
            Ok(Some(promise)) => Ok(promise),
            Ok(None) => {
                let text = format!(
                    "no room for {size} bytes above the reserve of {}",
                    self.text
                );
                Err(Fault::new(ErrorCode::NoSpace, text))
            }
            Err(e) => {
                self.note_failure(&e);
                Err(disk_fault(&self.text, &e))
            }
        }
    }

    /// Takes note of a write that failed.
    pub(crate) fn note_failure(&self, error: &io::Error) {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => self.turn(Health::Full(text)),
            _ if is_of_the_volume(error) => self.turn(Health::ReadOnly(text)),
            _ => {}
        }
    }

    /// Takes note of a sync that failed. On a volume of a network file system a lost quorum looks
    /// like that, and comes back; a local disk is not believed again.
    pub(crate) fn note_failed_sync(&self, error: &io::Error) {
        let text = format!("sync failed: {error}");
        self.turn(if self.marker.is_some() {
            Health::ReadOnly(text)
        } else {
            Health::Failed(text)
        });
    }

    /// Finds out what it can do now, and closes files that nobody waited for.
    pub(crate) fn look_after(&self) {
        self.at_disk(|_| self.probe());
        self.at_disk(|_| self.gate.close_waiting());
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

    /// Writes only where something may have changed unseen: on a volume that others serve, after a
    /// failure, or when a request has been at the disk for long. To open a folder alone shows
    /// nothing, the kernel remembers it.
    fn probe(&self) {
        let health = self.health();
        let entered = self
            .folder()
            .and_then(|folder| self.measure(&folder).map(|()| folder));
        let now = match entered {
            Err(e) => Health::Away(e.to_string()),
            Ok(folder)
                if self.marker.is_some()
                    || health != Health::Writable
                    || self.gate.is_slow(SUSPICIOUS) =>
            {
                after_probe(&folder)
            }
            Ok(_) => Health::Writable,
        };
        self.turn(now);
    }

    /// Sees how much room there is.
    fn measure(&self, folder: &OwnedFd) -> io::Result<()> {
        let changed = self.ledger.measure(folder)?;
        let Space { free, reserved, .. } = self.space();
        match changed {
            Some(true) => error!(
                "{} is full, it takes no uploads: {free} bytes are free, {reserved} reserved",
                self.text
            ),
            Some(false) => info!("{} has room again, it takes uploads", self.text),
            None => {}
        }
        Ok(())
    }

    fn turn(&self, new: Health) {
        let mut health = self.health.lock();
        if std::mem::discriminant(&*health) == std::mem::discriminant(&new)
            || matches!(*health, Health::Failed(_))
        {
            return;
        }
        match &new {
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
        *health = new;
    }
}

/// Marks a mounted volume as the store path of a group. Tells whether it was not marked before.
///
/// # Errors
/// It is not there, belongs to another store, or refuses.
pub(crate) fn init(text: &str, group: &GroupName) -> io::Result<bool> {
    Marker::new(group, folder_of(text)).write(open_folder(text)?)
}

/// A folder to open others in.
pub(crate) fn open_folder(path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// What a store path can do, by a write.
fn after_probe(folder: &OwnedFd) -> Health {
    match write_probe(folder) {
        Ok(()) => Health::Writable,
        Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Health::Full(e.to_string())
        }
        Err(e) => Health::ReadOnly(e.to_string()),
    }
}

/// A name of our own for each process: storages of one group probe the same volume.
fn write_probe(folder: &OwnedFd) -> io::Result<()> {
    let name = format!("{PROBE}.{:016x}", rand::random::<u64>());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(
        folder,
        &name,
        flags,
        Mode::from_raw_mode(0o600),
    )?);
    let written = rustix::io::write(&file, b"tnv")
        .map(drop)
        .map_err(io::Error::from);
    let synced = written.and_then(|()| file.sync_data());
    rustix::fs::unlinkat(folder, &name, AtFlags::empty())?;
    synced
}

/// The error is about the file system, not about one file: a lost quorum, a dead mount, a bad disk, a
/// folder of somebody else's.
fn is_of_the_volume(error: &io::Error) -> bool {
    let of_the_volume = [
        Errno::ROFS,
        Errno::ACCESS,
        Errno::PERM,
        Errno::NOTCONN,
        Errno::IO,
        Errno::STALE,
        Errno::TIMEDOUT,
        Errno::NODEV,
        Errno::NXIO,
        Errno::CONNREFUSED,
    ];
    let number = error.raw_os_error();
    of_the_volume
        .iter()
        .any(|errno| number == Some(errno.raw_os_error()))
        || error.kind() == io::ErrorKind::NotConnected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gates;

    fn open(text: &str) -> StorePath {
        let config = Config {
            require_marker: false,
            ..Config::default()
        };
        let gates = Gates::new(1, &config.server, config.disk_timeout.duration());
        StorePath::open(text, &config, gates.gate(0)).unwrap()
    }

    #[test]
    fn a_slash_at_the_end_belongs_to_the_key_of_the_numbers_alone() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        let path = open(&format!("{text}/"));
        assert_eq!(path.key.as_str(), format!("{text}/"));
        assert_eq!(path.text, text);
        path.promise(1).unwrap();
        // With a marker, too: storages with and without the slash share the volume.
        let group = Config::default().group;
        assert!(init(&format!("{text}/"), &group).unwrap());
        assert!(!init(text, &group).unwrap());
    }

    #[test]
    fn a_folder_that_takes_no_file_takes_no_uploads_from_the_start() {
        // Not even root makes files there.
        let path = open("/sys/kernel");
        assert!(matches!(path.health(), Health::ReadOnly(_)));
        path.look_after();
        assert!(matches!(path.health(), Health::ReadOnly(_)));
    }

    #[test]
    fn a_write_that_is_refused_or_finds_no_room_counts_until_a_probe_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = open(folder.path().to_str().unwrap());
        let refused = [
            (Errno::ACCESS, ErrorCode::ReadOnly),
            (Errno::PERM, ErrorCode::ReadOnly),
            (Errno::NOSPC, ErrorCode::NoSpace),
            (Errno::DQUOT, ErrorCode::NoSpace),
        ];
        for (errno, code) in refused {
            path.promise(1).unwrap();
            path.note_failure(&errno.into());
            assert!(!path.takes_uploads());
            assert_eq!(path.promise(1).err().map(|fault| fault.code), Some(code));
            path.look_after();
        }
        path.promise(1).unwrap();
        // One file that cannot be is no matter of the path.
        path.note_failure(&Errno::NAMETOOLONG.into());
        assert!(path.takes_uploads());
    }
}
