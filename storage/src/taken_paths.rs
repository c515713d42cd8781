//! Paths of new files that are taken by other files.

use base::LogThrottle;
use log::warn;

use crate::metrics::StorageMetrics;

/// Tells of paths that are taken, now and then.
#[derive(Debug, Default)]
pub(crate) struct TakenPaths(LogThrottle<()>);

impl TakenPaths {
    /// Counts a path that is taken, and tells the log which one is used instead.
    pub(crate) fn note(&self, metrics: &StorageMetrics, taken: &str, next: &str) {
        metrics.taken_paths.inc();
        if let Some(more) = self.0.due(()) {
            warn!(
                "a new file is stored as {next}: its path {taken} is taken, so a number was given \
                 twice or the clock was set back{more}"
            );
        }
    }
}
