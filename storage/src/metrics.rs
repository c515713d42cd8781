//! The counters of a storage.

use std::sync::Arc;

use daemon::metrics::{CacheMetrics, IntCounter, Metrics};
use proto::storage::StorageRequest;

pub(crate) struct StorageMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// The cache of rows.
    pub(crate) rows: CacheMetrics,
    /// The files that are kept open.
    pub(crate) open_files: CacheMetrics,
    pub(crate) late_requests: IntCounter,
    pub(crate) foreign_rows: IntCounter,
    pub(crate) damage_found: IntCounter,
    pub(crate) taken_paths: IntCounter,
    pub(crate) expired_files: IntCounter,
    /// Beats refused by a tracker that had forgotten this storage.
    pub(crate) forgotten: IntCounter,
}

impl Default for StorageMetrics {
    fn default() -> StorageMetrics {
        let frame = Metrics::of_wire::<StorageRequest>();
        StorageMetrics {
            rows: frame.cache("rows"),
            open_files: frame.cache("open_files"),
            late_requests: frame.counter(
                "tnv_storage_late_requests_total",
                "Uploads and deletions that were given up because their client had left.",
            ),
            foreign_rows: frame.counter(
                "tnv_storage_foreign_rows_total",
                "Requests that met a file of another group.",
            ),
            damage_found: frame.counter(
                "tnv_storage_damage_found_total",
                "Requests that met a damaged file.",
            ),
            taken_paths: frame.counter(
                "tnv_storage_taken_paths_total",
                "New files whose path was taken, so that they got that of another number.",
            ),
            expired_files: frame.counter(
                "tnv_storage_expired_files_total",
                "Files that were deleted because they had expired.",
            ),
            forgotten: frame.counter(
                "tnv_storage_forgotten_total",
                "How often a tracker had forgotten this storage, which joined again.",
            ),
            frame: Arc::new(frame),
        }
    }
}
