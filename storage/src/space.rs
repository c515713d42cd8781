//! Room on a store path: what there is, what is kept free, and what uploads in progress were
//! promised.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::reserve::Reserve;

/// A store path that was full takes uploads again with this share of its size free above the
/// reserve, or with [`RESUME_MAX`]: it must not be full and not full by turns.
const RESUME_PART: u64 = 100;
const RESUME_MAX: u64 = 1 << 30;

/// Most room that an upload is promised ahead of what has come: a client that only says how much
/// will come must not take the disk from the others.
const AHEAD_MAX: u64 = 4 << 30;
/// One client address is promised half of the room, and this much in any case.
const OF_ONE_ADDRESS: u64 = 1 << 30;

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

    /// What is free above the reserve, whatever was promised.
    fn room(&self) -> u64 {
        self.free.saturating_sub(self.reserved)
    }

    /// Whether uploads were promised more than half of the room, and more than a little.
    pub(crate) fn is_mostly_promised(&self) -> bool {
        self.promised > (self.room() / 2).max(OF_ONE_ADDRESS)
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
    /// To uploads in progress.
    promised: u128,
    /// The same, by the address that sends them.
    by_address: HashMap<IpAddr, u128>,
    /// All that was ever promised.
    granted: u128,
    /// As of the last measure.
    space: Space,
    full: bool,
}

impl State {
    /// Promises an address up to `wanted` bytes, `needed` of them or more being there, and tells how
    /// many.
    fn grant(
        &mut self,
        space: Space,
        meanwhile: u128,
        address: IpAddr,
        wanted: u64,
        needed: u64,
    ) -> Result<u64, NoPromise> {
        let available = u128::from(space.available()).saturating_sub(meanwhile);
        if self.full || u128::from(needed) > available {
            return Err(NoPromise::NoRoom);
        }
        let held = self.by_address.get(&address).copied().unwrap_or(0);
        let of_one = u128::from((space.room() / 2).max(OF_ONE_ADDRESS));
        let more = available.min(of_one.saturating_sub(held));
        let more = wanted.min(u64::try_from(more).unwrap_or(u64::MAX));
        if more == 0 {
            return if wanted == 0 {
                Ok(0)
            } else {
                Err(NoPromise::TooMuchForOne)
            };
        }
        self.promised += u128::from(more);
        self.granted += u128::from(more);
        self.by_address.insert(address, held + u128::from(more));
        Ok(more)
    }

    /// Takes back what was written or given up.
    fn take_back(&mut self, address: IpAddr, bytes: u64) {
        self.promised -= u128::from(bytes);
        if let Some(held) = self.by_address.get_mut(&address) {
            *held -= u128::from(bytes);
            if *held == 0 {
                self.by_address.remove(&address);
            }
        }
    }
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

    /// Promises room to an upload of `size` bytes from an address, given an open folder of the store
    /// path. All of it must be there, though not all is promised at once.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn promise(
        self: &Arc<Ledger>,
        folder: impl AsFd,
        size: u64,
        address: IpAddr,
    ) -> io::Result<Result<Promise, NoPromise>> {
        let mut promise = Promise {
            ledger: Arc::clone(self),
            address,
            to_come: size,
            left: 0,
        };
        let granted = self.grant(folder, &mut promise, size)?;
        Ok(granted.map(|()| promise))
    }

    /// Adds to a promise what it may have more, if at least `needed` bytes are there.
    fn grant(
        &self,
        folder: impl AsFd,
        promise: &mut Promise,
        needed: u64,
    ) -> io::Result<Result<(), NoPromise>> {
        let (before, granted) = {
            let state = self.state.lock();
            (state.promised, state.granted)
        };
        let space = self.look(folder, before)?;
        let mut state = self.state.lock();
        // What was promised to others meanwhile: of many that come at once none is overlooked.
        let meanwhile = state.granted - granted;
        let wanted = promise.to_come.min(AHEAD_MAX).saturating_sub(promise.left);
        let more = state.grant(space, meanwhile, promise.address, wanted, needed);
        Ok(more.map(|more| promise.left += more))
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

/// Why an upload gets no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPromise {
    /// The room is not there.
    NoRoom,
    /// Its address has been promised all that one may have, for content that it has yet to send.
    TooMuchForOne,
}

/// Room promised to an upload; dropping it gives back what is left of it.
pub(crate) struct Promise {
    ledger: Arc<Ledger>,
    address: IpAddr,
    /// Bytes that are not on the disk yet.
    to_come: u64,
    /// As many of them as are promised.
    left: u64,
}

impl Promise {
    /// Bytes that are not on the disk yet.
    pub(crate) fn to_come(&self) -> u64 {
        self.to_come
    }

    /// No more than `to_come` bytes are still to come.
    pub(crate) fn shrink(&mut self, to_come: u64) {
        let come = self.to_come.saturating_sub(to_come);
        self.to_come -= come;
        let less = come.min(self.left);
        self.left -= less;
        self.ledger.state.lock().take_back(self.address, less);
    }

    /// Sees that the next `len` bytes have room, and more when half of what is promised ahead is
    /// used up; `file` is open on the store path.
    ///
    /// # Errors
    /// `StorageFull` when they have none. The file system does not answer.
    pub(crate) fn extend(&mut self, file: impl AsFd, len: u64) -> io::Result<()> {
        let len = len.min(self.to_come);
        if self.left >= self.to_come.min(AHEAD_MAX / 2) && self.left >= len {
            return Ok(());
        }
        let needed = len.saturating_sub(self.left);
        let ledger = Arc::clone(&self.ledger);
        match ledger.grant(file, self, needed)? {
            Ok(()) | Err(NoPromise::TooMuchForOne) => Ok(()),
            Err(NoPromise::NoRoom) if needed == 0 => Ok(()),
            Err(NoPromise::NoRoom) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests;
