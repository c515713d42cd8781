//! Room on a store path: what there is, what is kept free, and what uploads in progress were
//! promised.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::reserve::Reserve;

/// A store path that was full takes uploads again with this share of its size free above the
/// reserve, or with [`RESUME_MAX`]: it must not be full and not full by turns.
const RESUME_PART: u64 = 100;
const RESUME_MAX: u64 = 1 << 30;

/// Room on the file system of a store path, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Space {
    /// Its size.
    pub(crate) total: u64,
    /// What this process may still write; nothing when there are no inodes left.
    pub(crate) free: u64,
    /// What is to be left free.
    pub(crate) reserved: u64,
    /// What uploads in progress will yet take.
    pub(crate) promised: u64,
}

impl Space {
    /// What further uploads may take.
    pub(crate) fn available(&self) -> u64 {
        self.free
            .saturating_sub(self.reserved)
            .saturating_sub(self.promised)
    }

    /// Whether it is full, given whether it was.
    fn is_full(&self, was: bool) -> bool {
        let resume = (self.total / RESUME_PART).clamp(1, RESUME_MAX);
        self.available() < if was { resume } else { 1 }
    }
}

/// Keeps account of the room on one store path. What other processes write is seen when it is
/// written, not before.
pub(crate) struct Ledger {
    reserve: Mutex<Reserve>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// To uploads in progress. Each may announce 2^63 bytes.
    promised: u128,
    /// All that was ever promised.
    granted: u128,
    /// As of the last measure.
    space: Space,
    full: bool,
}

impl Ledger {
    pub(crate) fn new(reserve: Reserve) -> Ledger {
        Ledger {
            reserve: Mutex::new(reserve),
            state: Mutex::default(),
        }
    }

    /// Leaves so much free from now on; the next measure shows it.
    pub(crate) fn reserve(&self, reserve: Reserve) {
        *self.reserve.lock() = reserve;
    }

    /// Asks the file system of an open folder, however long that takes; tells whether it is full
    /// when that has changed.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn measure(&self, folder: impl AsFd) -> io::Result<Option<bool>> {
        let promised = self.state.lock().promised;
        let space = self.look(folder, promised)?;
        let mut state = self.state.lock();
        state.space = space;
        let full = space.is_full(state.full);
        let changed = std::mem::replace(&mut state.full, full) != full;
        Ok(changed.then_some(full))
    }

    /// Promises `size` bytes to an upload, given an open folder of the store path; nothing when
    /// they are not there.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn promise(
        self: &Arc<Ledger>,
        folder: impl AsFd,
        size: u64,
    ) -> io::Result<Option<Promise>> {
        let (before, granted) = {
            let state = self.state.lock();
            (state.promised, state.granted)
        };
        let space = self.look(folder, before)?;
        let mut state = self.state.lock();
        // What was promised to others meanwhile: of many that come at once none is overlooked.
        let meanwhile = state.granted - granted;
        if state.full || u128::from(size) + meanwhile > u128::from(space.available()) {
            return Ok(None);
        }
        state.promised += u128::from(size);
        state.granted += u128::from(size);
        Ok(Some(Promise {
            ledger: Arc::clone(self),
            left: size,
        }))
    }

    /// As of the last measure.
    pub(crate) fn space(&self) -> Space {
        self.state.lock().space
    }

    /// Whether it is full: it takes no uploads at all.
    pub(crate) fn is_full(&self) -> bool {
        self.state.lock().full
    }

    /// `promised` has to be from before: what is written meanwhile then counts twice, not never.
    fn look(&self, folder: impl AsFd, promised: u128) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(folder)?;
        // Some file systems do not count inodes and say 0 of 0.
        let has_inodes = stat.f_files == 0 || stat.f_favail > 0;
        let free = if has_inodes { stat.f_bavail } else { 0 };
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        Ok(Space {
            total,
            free: free.saturating_mul(stat.f_frsize),
            reserved: self.reserve.lock().of(total),
            promised: u64::try_from(promised).unwrap_or(u64::MAX),
        })
    }
}

/// Room promised to an upload; dropping it gives back what is left of it.
pub(crate) struct Promise {
    ledger: Arc<Ledger>,
    left: u64,
}

impl Promise {
    /// Bytes that are not on the disk yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// No more than `left` bytes are still to come.
    pub(crate) fn shrink(&mut self, left: u64) {
        let less = self.left.saturating_sub(left);
        self.left -= less;
        self.ledger.state.lock().promised -= u128::from(less);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use daemon::units::ByteSize;

    use super::*;

    fn space(available: u64) -> Space {
        Space {
            total: 1 << 30,
            free: available + 10,
            reserved: 7,
            promised: 3,
        }
    }

    #[test]
    fn full_and_not_full_lie_apart() {
        assert!(space(0).is_full(false));
        assert!(!space(1).is_full(false));
        assert!(space((1 << 30) / 100 - 1).is_full(true));
        assert!(!space((1 << 30) / 100).is_full(true));
        // However large the disk, a gibibyte is room enough.
        let huge = Space {
            total: 1 << 60,
            ..space(1 << 30)
        };
        assert!(!huge.is_full(true));
        assert_eq!(space(5).available(), 5);
        let overdrawn = Space {
            free: 2,
            ..space(0)
        };
        assert_eq!(overdrawn.available(), 0);
    }

    #[test]
    fn promised_space_is_taken_until_it_is_written_or_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        let stat = rustix::fs::fstatvfs(&open).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let ledger = Arc::new(Ledger::new(Reserve::Bytes(ByteSize::new(0))));
        // Others use this disk, too: halves of it leave room for doubt.
        let most = free / 4 * 3;
        let mut promise = ledger.promise(&open, most).unwrap().unwrap();
        assert!(ledger.promise(&open, most).unwrap().is_none());
        ledger.measure(&open).unwrap();
        assert_eq!(ledger.space().promised, most);
        promise.shrink(10);
        assert_eq!(promise.left(), 10);
        let other = ledger.promise(&open, most).unwrap().unwrap();
        drop(promise);
        drop(other);
        ledger.measure(&open).unwrap();
        assert_eq!(ledger.space().promised, 0);
    }

    #[test]
    fn a_reserve_larger_than_the_disk_fills_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        let ledger = Arc::new(Ledger::new(Reserve::Bytes(ByteSize::new(1 << 60))));
        assert_eq!(ledger.measure(&open).unwrap(), Some(true));
        assert_eq!(ledger.measure(&open).unwrap(), None);
        assert!(ledger.promise(&open, 0).unwrap().is_none());
        ledger.reserve(Reserve::Bytes(ByteSize::new(0)));
        assert_eq!(ledger.measure(&open).unwrap(), Some(false));
        assert!(ledger.promise(&open, 0).unwrap().is_some());
    }
}
