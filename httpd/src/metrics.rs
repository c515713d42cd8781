//! Metrics of an httpd.

use std::sync::Arc;

use base::LogThrottle;
use client::Error;
use daemon::metrics::{CacheMetrics, IntCounter, Metrics};
use log::warn;

pub(crate) struct HttpMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// The cache of detected media types.
    pub(crate) types: CacheMetrics,
    pub(crate) damage: Damage,
    /// Bytes of content that were read from files of this machine.
    pub(crate) local_bytes: IntCounter,
}

impl Default for HttpMetrics {
    fn default() -> HttpMetrics {
        let frame = Metrics::of_http();
        HttpMetrics {
            types: frame.cache("types"),
            local_bytes: frame.counter(
                "tnv_http_local_bytes_total",
                "Content that was read from files of storages on this machine.",
            ),
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

/// Responses whose content did not match its checksum.
pub(crate) struct Damage {
    answers: IntCounter,
    log: LogThrottle<()>,
}

impl Damage {
    /// Counts a response that was broken off, and logs the file and the storages.
    pub(crate) fn note(&self, error: &Error) {
        self.answers.inc();
        if let Some(more) = self.log.due(()) {
            warn!("damaged: {}{more}", error.chain());
        }
    }
}
