//! The log lines that peers can cause: as many as there may be storages to start at once, then one a
//! second of each kind.

use base::LogThrottle;

/// Lines of a kind that may come at once.
pub(crate) const BURST: u32 = 100;

/// What a line tells.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
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

/// Which lines are due.
pub(crate) struct Lines(LogThrottle<Line>);

impl Default for Lines {
    fn default() -> Lines {
        Lines(LogThrottle::with_burst(BURST))
    }
}

impl Lines {
    /// Whether a line is due now, and what to end it with: see [`LogThrottle::due`].
    pub(crate) fn due(&self, line: Line) -> Option<String> {
        self.0.due(line)
    }
}
