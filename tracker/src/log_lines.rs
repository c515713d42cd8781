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

/// One throttle for each kind of line.
pub(crate) struct LogLines(LogThrottle<LogLine>);

impl Default for LogLines {
    fn default() -> LogLines {
        LogLines(LogThrottle::with_burst(BURST))
    }
}

impl LogLines {
    /// Returns the end of the line when a line of this kind is due: see [`LogThrottle::due`].
    pub(crate) fn due(&self, line: LogLine) -> Option<String> {
        self.0.due(line)
    }
}
