//! What is counted of connections, workers and queues.

use net::{Lane, NetEvent, NetLevel};
use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::{counters, gauges, histograms};

/// Upper bounds of the time a request waits for a worker, in seconds: up to the usual
/// `queue_timeout`.
const WAIT_BOUNDS: [f64; 9] = [0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Connections, workers and queues of one server.
pub struct NetMetrics {
    /// Connections that are open.
    pub open: IntGauge,
    /// Connections that were accepted, those that were refused then among them.
    pub accepted: IntCounter,
    /// Connections, and requests, that were refused for want of room.
    pub refused: IntCounter,
    /// Connections that were closed to make room.
    pub evicted: IntCounter,
    /// Connections closed because they were idle for too long.
    pub idle: IntCounter,
    /// Connections closed because a request came too slowly.
    pub slow_head: IntCounter,
    /// Connections closed because a transfer moved too few bytes.
    pub stalled: IntCounter,
    /// Connections closed because too many replies waited in memory.
    pub unsent: IntCounter,
    /// Bytes that came.
    pub received: IntCounter,
    /// Bytes that went out.
    pub sent: IntCounter,
    /// Requests that waited too long for a worker and were answered 'busy'.
    pub late: IntCounter,
    /// Requests that wait for another server.
    pub waiting: IntGauge,
    /// Requests that panicked.
    pub panics: IntCounter,
    /// Replies broken off because what was to be sent could not be had.
    pub broken_off: IntCounter,
    slow: LaneMetrics,
    fast: LaneMetrics,
}

/// One pool of workers and the queue in front of it.
pub struct LaneMetrics {
    /// Threads.
    pub workers: IntGauge,
    /// Threads at work.
    pub busy: IntGauge,
    /// Connections that wait for a worker.
    pub queued: IntGauge,
    /// How long they waited, in seconds.
    pub wait: Histogram,
    /// 1 while requests wait and no worker has come for one within `queue_timeout`.
    pub stuck: IntGauge,
}

impl NetMetrics {
    pub(super) fn new(registry: &Registry) -> NetMetrics {
        let counter =
            |name, help| counters(registry, name, help, &[]).with_label_values::<&str>(&[]);
        let dropped = counters(
            registry,
            "tnv_connections_dropped_total",
            "Connections closed by the daemon, by reason: evicted (to make room), idle (for too \
             long), head (the request came too slowly), stalled (the transfer was too slow), \
             unsent (too many replies waited in memory).",
            &["reason"],
        );
        let dropped = |reason: &str| dropped.with_label_values(&[reason]);
        let lane = lanes(registry);
        NetMetrics {
            open: gauges(registry, "tnv_connections_open", "Open connections.", &[])
                .with_label_values::<&str>(&[]),
            accepted: counter("tnv_connections_accepted_total", "Connections accepted."),
            refused: counter(
                "tnv_connections_refused_total",
                "Connections refused, and requests answered busy, for want of connections or file \
                 descriptors.",
            ),
            evicted: dropped("evicted"),
            idle: dropped("idle"),
            slow_head: dropped("head"),
            stalled: dropped("stalled"),
            unsent: dropped("unsent"),
            received: counter("tnv_received_bytes_total", "Bytes received from clients."),
            sent: counter("tnv_sent_bytes_total", "Bytes sent to clients."),
            late: counter(
                "tnv_queue_timeouts_total",
                "Requests answered busy after waiting longer than queue_timeout for a worker.",
            ),
            waiting: gauges(
                registry,
                "tnv_requests_waiting",
                "Requests that wait for another server's answer and hold no worker.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            panics: counter(
                "tnv_panics_total",
                "Requests that panicked: faults of the program.",
            ),
            broken_off: counter(
                "tnv_replies_broken_off_total",
                "Replies broken off because their source could not be read to its end.",
            ),
            slow: lane("slow"),
            fast: lane("fast"),
        }
    }

    /// One of the two lanes.
    pub fn lane(&self, lane: Lane) -> &LaneMetrics {
        match lane {
            Lane::Slow => &self.slow,
            Lane::Fast => &self.fast,
        }
    }
}

impl NetMetrics {
    /// Counts what happened.
    pub(super) fn count(&self, event: NetEvent) {
        match event {
            NetEvent::Accepted => self.accepted.inc(),
            NetEvent::Refused => self.refused.inc(),
            NetEvent::Evicted => self.evicted.inc(),
            NetEvent::Idle => self.idle.inc(),
            NetEvent::SlowHead => self.slow_head.inc(),
            NetEvent::Stalled => self.stalled.inc(),
            NetEvent::Unsent => self.unsent.inc(),
            NetEvent::Late => self.late.inc(),
            NetEvent::Panicked => self.panics.inc(),
            NetEvent::BrokenOff => self.broken_off.inc(),
            NetEvent::Received(bytes) => self.received.inc_by(bytes),
            NetEvent::Sent(bytes) => self.sent.inc_by(bytes),
            NetEvent::Stuck(lane, is_stuck) => self.lane(lane).stuck.set(is_stuck.into()),
        }
    }

    /// The gauge of what there are more and fewer of.
    pub(super) fn gauge(&self, level: NetLevel) -> &IntGauge {
        match level {
            NetLevel::Open => &self.open,
            NetLevel::Waiting => &self.waiting,
            NetLevel::Workers(lane) => &self.lane(lane).workers,
            NetLevel::Busy(lane) => &self.lane(lane).busy,
            NetLevel::Queued(lane) => &self.lane(lane).queued,
        }
    }
}

/// Makes the metrics of a lane by its name.
fn lanes(registry: &Registry) -> impl Fn(&str) -> LaneMetrics {
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
    move |name| LaneMetrics {
        workers: workers.with_label_values(&[name]),
        busy: busy.with_label_values(&[name]),
        queued: queued.with_label_values(&[name]),
        wait: wait.with_label_values(&[name]),
        stuck: stuck.with_label_values(&[name]),
    }
}
