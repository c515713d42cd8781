//! What an idserver counts and tells monitoring.

use std::sync::Arc;

use daemon::metrics::{IntCounter, Metrics, Page};
use daemon::status::{Health, StatusSource, measure_database};
use proto::idserver::IdRequest;
use serde_json::{Value, json};

use crate::globals::Globals;

pub(crate) struct IdMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// Steps made in the database.
    pub(crate) steps: IntCounter,
    /// Steps that failed.
    pub(crate) failed_steps: IntCounter,
    /// Requests for a key that got no row, because too many are new.
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

/// What the status port shows.
pub(crate) struct Shown(pub(crate) Arc<Globals>);

impl StatusSource for Shown {
    fn health(&self, health: &mut Health) {
        health.needs_database(self.0.ids.availability().full());
    }

    fn measure(&self, page: &mut Page) {
        let database = self.0.ids.availability();
        measure_database(page, database.full().is_ok(), database.reads.is_ok());
        page.gauge("tnv_idserver_keys", "Keys in memory.")
            .sample(&[], self.0.keys.len() as f64);
        let help = "Most keys in memory, see keys_max.";
        page.gauge("tnv_idserver_keys_max", help)
            .sample(&[], self.0.config.keys_max as f64);
    }

    fn describe(&self) -> Value {
        let metrics = &self.0.metrics;
        json!({
            "keys": self.0.keys.len(),
            "steps": metrics.steps.get(),
            "failed_steps": metrics.failed_steps.get(),
            "refused_keys": metrics.refused_keys.get(),
        })
    }
}
