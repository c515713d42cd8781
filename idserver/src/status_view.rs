//! The status pages of an idserver.

use std::sync::Arc;

use daemon::metrics::Page;
use daemon::status::{Health, StatusSource, measure_database};
use serde_json::{Value, json};

use crate::globals::Globals;

pub(crate) struct StatusView(pub(crate) Arc<Globals>);

impl StatusSource for StatusView {
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
