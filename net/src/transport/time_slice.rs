//! How long a worker works on one transfer before it looks whether other connections wait.

use std::time::{Duration, Instant};

/// Bytes that one time slice moves at most, up to one system call more.
const BYTES: u64 = 8 << 20;
/// Length of a time slice.
pub(crate) const TIME: Duration = Duration::from_millis(50);

/// One worker's time for one transfer. It ends after [`BYTES`] or [`TIME`].
pub(crate) struct TimeSlice {
    end: Instant,
}

impl TimeSlice {
    pub(crate) fn begin() -> TimeSlice {
        TimeSlice {
            end: Instant::now() + TIME,
        }
    }

    /// True if the slice has moved enough bytes or has lasted long enough.
    pub(crate) fn is_over(&self, moved: u64) -> bool {
        moved >= BYTES || Instant::now() >= self.end
    }
}
