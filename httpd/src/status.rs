//! The httpd's part of the status pages.

use std::sync::Arc;

use daemon::metrics::Page;
use daemon::status::{Health, StatusSource};
use serde_json::{Value, json};

use crate::metrics::HttpMetrics;
use crate::tracker_monitor::TrackerMonitor;

pub(crate) struct StatusView {
    pub(crate) metrics: Arc<HttpMetrics>,
    pub(crate) trackers: TrackerMonitor,
}

impl StatusSource for StatusView {
    fn health(&self, health: &mut Health) {
        self.trackers.health(health);
    }

    fn measure(&self, page: &mut Page) {
        self.trackers.measure(page);
    }

    fn describe(&self) -> Value {
        json!({
            "types_cache": self.metrics.types.describe(),
            "trackers": self.trackers.describe(),
        })
    }
}
