//! The metrics of a daemon: one [`Metrics`], made with its globals and shown by its
//! [status port](crate::status).
//!
//! Names and units follow the conventions of Prometheus. Counting is a relaxed atomic addition:
//! no lock, no allocation.

mod connections;
mod page;
mod requests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use net::{NetEvent, NetGauge, Observer, RequestEnd, WorkerPool};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use proto::Request;

use connections::NetMetrics;
pub use page::{Family, Page};
pub use prometheus::{IntCounter, IntGauge};
pub use requests::{Requests, Total};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, as far as is known.
pub const COMMIT: &str = env!("TNV_COMMIT");
/// The compiler that built it.
pub const RUSTC: &str = env!("TNV_RUSTC");

/// The metrics of one daemon.
pub struct Metrics {
    registry: Registry,
    started: Instant,
    stopping: AtomicBool,
    cache_hits: IntCounterVec,
    cache_misses: IntCounterVec,
    pub(crate) net: NetMetrics,
    /// Requests.
    pub requests: Requests,
}

impl Metrics {
    /// The metrics of a daemon that serves the requests `R`.
    pub fn of_wire<R: Request>() -> Metrics {
        let commands = [R::COMMANDS, &R::SERVER.proof_commands()].concat();
        Metrics::new(|registry| Requests::of_wire(registry, &commands))
    }

    /// The metrics of a daemon that serves HTTP.
    pub fn of_http() -> Metrics {
        Metrics::new(Requests::of_http)
    }

    fn new(requests: impl FnOnce(&Registry) -> Requests) -> Metrics {
        let registry = Registry::new();
        let process = registry.register(Box::new(ProcessCollector::for_self()));
        process.expect("each metric is made once");
        Metrics {
            cache_hits: counters(
                &registry,
                "tnv_cache_hits_total",
                "Looks into a cache that found what can be used.",
                &["cache"],
            ),
            cache_misses: counters(
                &registry,
                "tnv_cache_misses_total",
                "Looks into a cache that found nothing, or what is too old.",
                &["cache"],
            ),
            net: NetMetrics::new(&registry),
            requests: requests(&registry),
            registry,
            started: Instant::now(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Adds a counter. The name ends in `_total`.
    ///
    /// # Panics
    /// There is one of this name already.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        counters(&self.registry, name, help, &[]).with_label_values::<&str>(&[])
    }

    /// Adds a counter that was made elsewhere.
    ///
    /// # Panics
    /// There is one of its name already.
    pub fn adopt(&self, counter: IntCounter) {
        register(&self.registry, counter);
    }

    /// The counters of the cache of this name.
    pub fn cache(&self, name: &str) -> CacheMetrics {
        CacheMetrics {
            hits: self.cache_hits.with_label_values(&[name]),
            misses: self.cache_misses.with_label_values(&[name]),
        }
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Makes [`Metrics::is_stopping`] true.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// True after [`Metrics::begin_stop`].
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The current values of all metrics.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

impl Observer for Metrics {
    fn event(&self, event: NetEvent) {
        self.net.count(event);
    }

    fn changed(&self, level: NetGauge, change: i64) {
        self.net.gauge(level).add(change);
    }

    fn queue_wait(&self, pool: WorkerPool, time: Duration) {
        self.net.pool(pool).wait.observe(time.as_secs_f64());
    }

    fn request(&self, end: &RequestEnd) {
        self.requests.count(end);
    }
}

/// Hits and misses of one cache.
#[derive(Debug, Clone)]
pub struct CacheMetrics {
    hits: IntCounter,
    misses: IntCounter,
}

impl CacheMetrics {
    /// Counts one lookup.
    pub fn count(&self, is_hit: bool) {
        if is_hit { &self.hits } else { &self.misses }.inc();
    }

    /// Hits and misses for `/status`.
    pub fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "hits": self.hits.get(), "misses": self.misses.get() })
    }
}

/// Registers counters that differ by `labels`.
fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let counters = IntCounterVec::new(Opts::new(name, help), labels);
    register(registry, counters.expect("a name and labels of ours"))
}

/// Registers gauges that differ by `labels`.
fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let gauges = IntGaugeVec::new(Opts::new(name, help), labels);
    register(registry, gauges.expect("a name and labels of ours"))
}

/// Registers histograms of these upper bounds that differ by `labels`.
fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    bounds: &[f64],
) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    let histograms = HistogramVec::new(opts, labels);
    register(registry, histograms.expect("a name and labels of ours"))
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    let registered = registry.register(Box::new(collector.clone()));
    registered.expect("each metric is made once");
    collector
}

#[cfg(test)]
mod tests;
