//! Metrics of connections, workers and queues.

use net::{Full, NetEvent, NetGauge, WorkerPool};
use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::{counters, gauges, histograms};

/// Upper bounds of the time that a request waits for a worker, in seconds, up to the default of
/// `queue_timeout`.
const WAIT_BOUNDS: [f64; 9] = [0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Connections, workers and queues of one server. [`NetMetrics::new`] has the help text of each.
pub(crate) struct NetMetrics {
    pub(crate) open: IntGauge,
    pub(crate) accepted: IntCounter,
    pub(crate) refused: IntCounter,
    refused_clients: IntCounter,
    pub(crate) evicted: IntCounter,
    idle: IntCounter,
    slow_head: IntCounter,
    unproved: IntCounter,
    stalled: IntCounter,
    unsent: IntCounter,
    pub(crate) received: IntCounter,
    pub(crate) sent: IntCounter,
    late: IntCounter,
    waiting: IntGauge,
    panics: IntCounter,
    broken_off: IntCounter,
    slow: PoolMetrics,
    fast: PoolMetrics,
}

/// One pool of workers and its queue. [`pools`] has the help text of each.
pub(crate) struct PoolMetrics {
    pub(crate) workers: IntGauge,
    pub(crate) busy: IntGauge,
    pub(crate) queued: IntGauge,
    pub(super) wait: Histogram,
    pub(crate) stuck: IntGauge,
}

impl NetMetrics {
    pub(super) fn new(registry: &Registry) -> NetMetrics {
        let counter =
            |name, help| counters(registry, name, help, &[]).with_label_values::<&str>(&[]);
        let gauge = |name, help| gauges(registry, name, help, &[]).with_label_values::<&str>(&[]);
        let dropped = counters(
            registry,
            "tnv_connections_dropped_total",
            "Connections closed by the daemon, by reason: evicted (to make room), idle (for too \
             long), head (the request came too slowly), unproved (no key was proved, and nothing is \
             allowed without), stalled (the transfer was too slow), unsent (too many replies waited \
             in memory).",
            &["reason"],
        );
        let dropped = |reason: &str| dropped.with_label_values(&[reason]);
        let pool = pools(registry);
        NetMetrics {
            open: gauge("tnv_connections_open", "Open connections."),
            accepted: counter("tnv_connections_accepted_total", "Connections accepted."),
            refused: counter(
                "tnv_connections_refused_total",
                "Connections refused, and requests answered busy, for want of connections or file \
                 descriptors.",
            ),
            refused_clients: counter(
                "tnv_clients_refused_total",
                "Connections refused, and requests through a trusted proxy, because their client has \
                 as many as connections_per_address allows.",
            ),
            evicted: dropped("evicted"),
            idle: dropped("idle"),
            slow_head: dropped("head"),
            unproved: dropped("unproved"),
            stalled: dropped("stalled"),
            unsent: dropped("unsent"),
            received: counter("tnv_received_bytes_total", "Bytes received from clients."),
            sent: counter("tnv_sent_bytes_total", "Bytes sent to clients."),
            late: counter(
                "tnv_queue_timeouts_total",
                "Requests answered busy after waiting longer than queue_timeout for a worker.",
            ),
            waiting: gauge(
                "tnv_requests_waiting",
                "Requests that wait for another server's answer and hold no worker.",
            ),
            panics: counter(
                "tnv_panics_total",
                "Requests that panicked: faults of the program.",
            ),
            broken_off: counter(
                "tnv_replies_broken_off_total",
                "Replies broken off because their source could not be read to its end.",
            ),
            slow: pool("slow"),
            fast: pool("fast"),
        }
    }

    pub(crate) fn pool(&self, pool: WorkerPool) -> &PoolMetrics {
        match pool {
            WorkerPool::Slow => &self.slow,
            WorkerPool::Fast => &self.fast,
        }
    }

    pub(super) fn count(&self, event: NetEvent) {
        match event {
            NetEvent::Accepted => self.accepted.inc(),
            NetEvent::Refused(full) => {
                self.refused.inc();
                if full == Full::Client {
                    self.refused_clients.inc();
                }
            }
            NetEvent::Evicted => self.evicted.inc(),
            NetEvent::Idle => self.idle.inc(),
            NetEvent::SlowHead => self.slow_head.inc(),
            NetEvent::Unproved => self.unproved.inc(),
            NetEvent::Stalled => self.stalled.inc(),
            NetEvent::Unsent => self.unsent.inc(),
            NetEvent::Late => self.late.inc(),
            NetEvent::Panicked => self.panics.inc(),
            NetEvent::BrokenOff => self.broken_off.inc(),
            NetEvent::Received(bytes) => self.received.inc_by(bytes),
            NetEvent::Sent(bytes) => self.sent.inc_by(bytes),
            NetEvent::Stuck(pool, is_stuck) => self.pool(pool).stuck.set(is_stuck.into()),
        }
    }

    pub(super) fn gauge(&self, level: NetGauge) -> &IntGauge {
        match level {
            NetGauge::Open => &self.open,
            NetGauge::Waiting => &self.waiting,
            NetGauge::Workers(pool) => &self.pool(pool).workers,
            NetGauge::Busy(pool) => &self.pool(pool).busy,
            NetGauge::Queued(pool) => &self.pool(pool).queued,
        }
    }
}

/// Makes the metrics of a pool by its name.
fn pools(registry: &Registry) -> impl Fn(&str) -> PoolMetrics {
    let label = ["lane"];
    let gauge = |name, help| gauges(registry, name, help, &label);
    let workers = gauge("tnv_workers", "Worker threads.");
    let busy = gauge("tnv_workers_busy", "Worker threads at work.");
    let queued = gauge("tnv_queue_length", "Requests that wait for a worker.");
    let stuck = gauge(
        "tnv_workers_stuck",
        "1 while requests wait and no worker has taken one for queue_timeout.",
    );
    let wait = histograms(
        registry,
        "tnv_queue_wait_seconds",
        "How long requests, and transfers that go on, waited for a worker.",
        &label,
        &WAIT_BOUNDS,
    );
    move |name| PoolMetrics {
        workers: workers.with_label_values(&[name]),
        busy: busy.with_label_values(&[name]),
        queued: queued.with_label_values(&[name]),
        wait: wait.with_label_values(&[name]),
        stuck: stuck.with_label_values(&[name]),
    }
}
