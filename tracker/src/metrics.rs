//! The counters of a tracker.

use std::sync::Arc;

use daemon::metrics::{CacheMetrics, IntCounter, Metrics};
use proto::tracker::TrackerRequest;

pub(crate) struct TrackerMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// Hits of the cache of users' groups.
    pub(crate) bindings: CacheMetrics,
    /// Users who were bound to a group.
    pub(crate) new_users: IntCounter,
    /// Users who were refused because too many were new.
    pub(crate) refused_users: IntCounter,
    /// Joins that wanted the address or node id of a living member.
    pub(crate) refused_takeovers: IntCounter,
}

impl Default for TrackerMetrics {
    fn default() -> TrackerMetrics {
        let frame = Metrics::of_wire::<TrackerRequest>();
        TrackerMetrics {
            bindings: frame.cache("bindings"),
            new_users: frame.counter(
                "tnv_tracker_new_users_total",
                "Users who were bound to a group at their first upload.",
            ),
            refused_users: frame.counter(
                "tnv_tracker_refused_new_users_total",
                "First uploads that were refused because too many users were new.",
            ),
            refused_takeovers: frame.counter(
                "tnv_tracker_refused_takeovers_total",
                "Joins that were refused because a living storage has the address or node id.",
            ),
            frame: Arc::new(frame),
        }
    }
}
