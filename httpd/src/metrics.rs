//! What an httpd counts and tells monitoring.

use std::sync::Arc;

use daemon::metrics::{CacheMetrics, Metrics, Page};
use daemon::status::{Health, Subject};
use serde_json::{Value, json};

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
pub(crate) struct Shown(pub(crate) Arc<HttpMetrics>);

impl Subject for Shown {
    fn health(&self, _health: &mut Health) {}

    fn measure(&self, _page: &mut Page) {}

    fn describe(&self) -> Value {
        json!({ "types_cache": self.0.types.describe() })
    }
}
