//! New files whose path was taken by another file.

use base::LogThrottle;
use log::warn;

use crate::metrics::StorageMetrics;

/// Logs such paths at a limited rate.
#[derive(Debug, Default)]
pub(crate) struct TakenPaths(LogThrottle<()>);

impl TakenPaths {
    /// Counts a taken path, and logs which path is used instead.
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
