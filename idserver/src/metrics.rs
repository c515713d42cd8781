//! The counters of an idserver.

use std::sync::Arc;

use daemon::metrics::{IntCounter, Metrics};
use proto::idserver::IdRequest;

pub(crate) struct IdMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// Reservations in the database.
    pub(crate) steps: IntCounter,
    /// Reservations that failed.
    pub(crate) failed_steps: IntCounter,
    /// Requests that were refused because too many keys were new.
    pub(crate) refused_keys: IntCounter,
}

impl Default for IdMetrics {
    fn default() -> IdMetrics {
        let frame = Metrics::of_wire::<IdRequest>();
        IdMetrics {
            steps: frame.counter(
                "tnv_idserver_steps_total",
                "Reservations of numbers in the database.",
            ),
            failed_steps: frame.counter(
                "tnv_idserver_failed_steps_total",
                "Reservations of numbers that failed.",
            ),
            refused_keys: frame.counter(
                "tnv_idserver_refused_keys_total",
                "Requests that were refused because too many keys were new.",
            ),
            frame: Arc::new(frame),
        }
    }
}
