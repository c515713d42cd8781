//! What an httpd counts and tells monitoring.

use std::sync::Arc;

use daemon::metrics::{CacheMetrics, Metrics, Page};
use daemon::status::{Health, Subject};
use serde_json::{Value, json};

use crate::trackers::Trackers;

pub(crate) struct HttpMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// Content types found by looking.
    pub(crate) types: CacheMetrics,
}

impl Default for HttpMetrics {
    fn default() -> HttpMetrics {
        let frame = Metrics::of_http();
        HttpMetrics {
            types: frame.cache("types"),
            frame: Arc::new(frame),
        }
    }
}

/// What the status port shows.
pub(crate) struct Shown {
    pub(crate) metrics: Arc<HttpMetrics>,
    pub(crate) trackers: Trackers,
}

impl Subject for Shown {
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
