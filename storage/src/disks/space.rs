//! Free space of a store path: what the file system has, what stays reserved, and what uploads in
//! progress have claimed.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Reserve;

/// A full store path takes uploads again when this share of its size (a hundredth), or
/// [`RESUME_MAX`], is free above the reserve. The distance keeps it from changing with each upload.
const RESUME_PART: u64 = 100;
const RESUME_MAX: u64 = 1 << 30;

/// Largest claim of one upload ahead of its received content, in bytes. A client that announces a
/// size and sends nothing must not take the disk from the others.
const AHEAD_MAX: u64 = 4 << 30;
/// One client address may claim half of the free space, and at least this many bytes.
const PER_ADDRESS_MIN: u64 = 1 << 30;

/// Space on the file system of a store path, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Space {
    /// Size of the file system.
    pub(crate) total: u64,
    /// Space that this process can write; 0 without free inodes.
    pub(crate) free: u64,
    /// Space that uploads must leave free.
    pub(crate) reserved: u64,
    /// Space that uploads in progress will still write.
    pub(crate) claimed: u64,
}

impl Space {
    /// Space that further uploads may take.
    pub(crate) fn available(&self) -> u64 {
        self.free
            .saturating_sub(self.reserved)
            .saturating_sub(self.claimed)
    }

    /// Free space above the reserve, claimed or not.
    fn room(&self) -> u64 {
        self.free.saturating_sub(self.reserved)
    }

    /// True if uploads have claimed more than half of the free space, and more than one address may.
    pub(crate) fn is_mostly_claimed(&self) -> bool {
        self.claimed > (self.room() / 2).max(PER_ADDRESS_MIN)
    }

    /// True if it is full, given whether it was.
    fn is_full(&self, was: bool) -> bool {
        let resume = (self.total / RESUME_PART).clamp(1, RESUME_MAX);
        self.available() < if was { resume } else { 1 }
    }
}

/// Tracks the space of one store path. What other processes write is known when it is written.
pub(crate) struct SpaceTracker {
    reserve: Mutex<Reserve>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By uploads in progress.
    claimed: u64,
    /// The same, by the address that sends them.
    by_address: HashMap<IpAddr, u64>,
    /// Sum of all claims since the start.
    claimed_ever: u64,
    /// As of the latest measurement.
    space: Space,
    full: bool,
}

impl State {
    /// Claims up to `wanted` bytes for an address, if at least `needed` are available. Returns how
    /// many.
    fn grant(
        &mut self,
        space: Space,
        meanwhile: u64,
        address: IpAddr,
        wanted: u64,
        needed: u64,
    ) -> Result<u64, ReservationError> {
        let available = space.available().saturating_sub(meanwhile);
        if self.full || needed > available {
            return Err(ReservationError::NoSpace);
        }
        let claimed_by_one = self.by_address.get(&address).copied().unwrap_or(0);
        let of_one = (space.room() / 2).max(PER_ADDRESS_MIN);
        let more = available.min(of_one.saturating_sub(claimed_by_one));
        let more = wanted.min(more);
        if more == 0 {
            return if wanted == 0 {
                Ok(0)
            } else {
                Err(ReservationError::TooMuchForOne)
            };
        }
        // An upload claims at most [`AHEAD_MAX`], so these sums stay far below their limits.
        self.claimed += more;
        self.claimed_ever += more;
        self.by_address.insert(address, claimed_by_one + more);
        Ok(more)
    }

    /// Ends the claim on bytes that were written or given up.
    fn release(&mut self, address: IpAddr, bytes: u64) {
        self.claimed -= bytes;
        if let Some(claimed_by_one) = self.by_address.get_mut(&address) {
            *claimed_by_one -= bytes;
            if *claimed_by_one == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl SpaceTracker {
    pub(crate) fn new(reserve: Reserve) -> SpaceTracker {
        SpaceTracker {
            reserve: Mutex::new(reserve),
            state: Mutex::default(),
        }
    }

    /// Changes the reserve. The next measurement uses it.
    pub(crate) fn set_reserved_space(&self, reserve: Reserve) {
        *self.reserve.lock() = reserve;
    }

    /// Measures the file system of an open folder, which may block. Returns whether it is full, if
    /// that has changed.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn measure(&self, folder: impl AsFd) -> io::Result<Option<bool>> {
        let claimed = self.state.lock().claimed;
        let space = self.look(folder, claimed)?;
        let mut state = self.state.lock();
        state.space = space;
        let full = space.is_full(state.full);
        let changed = std::mem::replace(&mut state.full, full) != full;
        Ok(changed.then_some(full))
    }

    /// Reserves space for an upload of `size` bytes from an address; `folder` is open on the store
    /// path. All of it must be available, though not all is claimed at once.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn reserve(
        self: &Arc<SpaceTracker>,
        folder: impl AsFd,
        size: u64,
        address: IpAddr,
    ) -> io::Result<Result<SpaceReservation, ReservationError>> {
        let mut reservation = SpaceReservation {
            tracker: Arc::clone(self),
            address,
            to_come: size,
            left: 0,
        };
        let claimed_ever = self.grant(folder, &mut reservation, size)?;
        Ok(claimed_ever.map(|()| reservation))
    }

    /// Extends the claim of a reservation, if at least `needed` bytes are available.
    fn grant(
        &self,
        folder: impl AsFd,
        reservation: &mut SpaceReservation,
        needed: u64,
    ) -> io::Result<Result<(), ReservationError>> {
        let (before, claimed_ever) = {
            let state = self.state.lock();
            (state.claimed, state.claimed_ever)
        };
        let space = self.look(folder, before)?;
        let mut state = self.state.lock();
        // Claims that other uploads made since the look at the file system.
        let meanwhile = state.claimed_ever - claimed_ever;
        let wanted = reservation
            .to_come
            .min(AHEAD_MAX)
            .saturating_sub(reservation.left);
        let more = state.grant(space, meanwhile, reservation.address, wanted, needed);
        Ok(more.map(|more| reservation.left += more))
    }

    /// As of the latest measurement.
    pub(crate) fn space(&self) -> Space {
        self.state.lock().space
    }

    /// True if the store path takes no uploads for want of space.
    pub(crate) fn is_full(&self) -> bool {
        self.state.lock().full
    }

    /// `claimed` is read before the call: bytes written meanwhile then count twice instead of never.
    fn look(&self, folder: impl AsFd, claimed: u64) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(folder)?;
        // Some file systems do not count inodes and say 0 of 0.
        let has_inodes = stat.f_files == 0 || stat.f_favail > 0;
        let free = if has_inodes { stat.f_bavail } else { 0 };
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        Ok(Space {
            total,
            free: free.saturating_mul(stat.f_frsize),
            reserved: self.reserve.lock().of(total),
            claimed,
        })
    }
}

/// Why an upload gets no space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReservationError {
    /// The space is not available.
    NoSpace,
    /// Its address has claimed all that one address may, for content that it has not sent.
    TooMuchForOne,
}

/// The space of one upload. Dropping it ends the claim.
pub(crate) struct SpaceReservation {
    tracker: Arc<SpaceTracker>,
    address: IpAddr,
    /// Bytes that are not on the disk yet.
    to_come: u64,
    /// How many of them are claimed.
    left: u64,
}

impl SpaceReservation {
    /// Bytes that are not on the disk yet.
    pub(crate) fn to_come(&self) -> u64 {
        self.to_come
    }

    /// Lowers the bytes to come to `to_come`, and the claim with them.
    pub(crate) fn shrink(&mut self, to_come: u64) {
        let come = self.to_come.saturating_sub(to_come);
        self.to_come -= come;
        let less = come.min(self.left);
        self.left -= less;
        self.tracker.state.lock().release(self.address, less);
    }

    /// Claims space for the next `len` bytes, and more when half of the claim ahead is used up;
    /// `file` is open on the store path.
    ///
    /// # Errors
    /// `StorageFull` without space. The file system does not answer.
    pub(crate) fn extend(&mut self, file: impl AsFd, len: u64) -> io::Result<()> {
        let len = len.min(self.to_come);
        if self.left >= self.to_come.min(AHEAD_MAX / 2) && self.left >= len {
            return Ok(());
        }
        let needed = len.saturating_sub(self.left);
        let tracker = Arc::clone(&self.tracker);
        match tracker.grant(file, self, needed)? {
            Ok(()) | Err(ReservationError::TooMuchForOne) => Ok(()),
            Err(ReservationError::NoSpace) if needed == 0 => Ok(()),
            Err(ReservationError::NoSpace) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests;
