//! Limits the log lines that peers can cause: a burst as when all storages start, then one a second of
//! each kind.

use base::LogThrottle;

/// Lines of a kind before the limit applies.
pub(crate) const BURST: u32 = 100;

/// The kinds of lines.
#[derive(Debug, PartialEq)]
pub(crate) enum LogLine {
    Joined,
    Moved,
    JoinRefused,
    MadeRoom,
    Unregistered,
    Active,
    Reported,
    Left,
    Offline,
    Expired,
    Unreachable,
    NoCluster,
}

/// A throttle for each kind of line.
pub(crate) fn throttle() -> LogThrottle<LogLine> {
    LogThrottle::with_burst(BURST)
}
