//! What an httpd counts and tells monitoring.

use std::sync::Arc;

use base::LogThrottle;
use client::Error;
use daemon::metrics::{CacheMetrics, IntCounter, Metrics, Page};
use daemon::status::{Health, StatusSource};
use log::warn;
use serde_json::{Value, json};

use crate::trackers::Trackers;

pub(crate) struct HttpMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// Content types found by looking.
    pub(crate) types: CacheMetrics,
    pub(crate) damage: Damage,
}

impl Default for HttpMetrics {
    fn default() -> HttpMetrics {
        let frame = Metrics::of_http();
        HttpMetrics {
            types: frame.cache("types"),
            damage: Damage {
                answers: frame.counter(
                    "tnv_http_damaged_answers_total",
                    "Answers broken off because the content did not match its checksum.",
                ),
                log: LogThrottle::default(),
            },
            frame: Arc::new(frame),
        }
    }
}

/// Answers with content that did not match its checksum.
pub(crate) struct Damage {
    answers: IntCounter,
    log: LogThrottle<()>,
}

impl Damage {
    /// Counts an answer that was broken off, and logs the file and the storages.
    pub(crate) fn note(&self, error: &Error) {
        self.answers.inc();
        if let Some(more) = self.log.due(()) {
            warn!("damaged: {}{more}", error.chain());
        }
    }
}

/// What the status port shows.
pub(crate) struct Shown {
    pub(crate) metrics: Arc<HttpMetrics>,
    pub(crate) trackers: Trackers,
}

impl StatusSource for Shown {
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
