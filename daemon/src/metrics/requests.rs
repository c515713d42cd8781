//! Metrics of requests: outcome, duration, and bytes of content.

use net::http::status;
use net::{Outcome, RequestEnd, RequestName};
use prometheus::{Histogram, IntCounter, Registry};
use proto::ErrorCode;

use super::{counters, histograms};

/// Upper bounds of the durations, in seconds: from a lookup in memory to the transfer of a film.
const BOUNDS: [f64; 17] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    60.0, 600.0,
];

/// Index of the outcome of a request whose client left before the reply, in both protocols.
const ABORTED: usize = 0;
/// Index of success in the wire protocol.
const OK: usize = 1;

/// The outcomes of the wire protocol; from the third on in the order of [`ERRORS`].
const WIRE_OUTCOMES: [&str; 12] = [
    "aborted",
    "ok",
    "bad_request",
    "not_found",
    "exists",
    "no_space",
    "unavailable",
    "busy",
    "damaged",
    "read_only",
    "forbidden",
    "unknown",
];

/// The error codes, in the order of their names above.
const ERRORS: [ErrorCode; 10] = [
    ErrorCode::BadRequest,
    ErrorCode::NotFound,
    ErrorCode::Exists,
    ErrorCode::NoSpace,
    ErrorCode::Unavailable,
    ErrorCode::Busy,
    ErrorCode::Damaged,
    ErrorCode::ReadOnly,
    ErrorCode::Forbidden,
    ErrorCode::Unknown,
];

/// The first HTTP outcome; the others are in the order of [`status::ALL`].
const HTTP_ABORTED: &str = "aborted";

/// The outcomes of requests whose service panicked.
const PANICKED: [&str; 2] = ["unknown", "500"];

/// The HTTP methods that are counted by name.
const METHODS: [&str; 2] = ["get", "head"];

/// The name of all other requests.
const OTHER: &str = "other";

/// The requests of one server.
pub struct Requests {
    /// In the order of `names`; the final one is for all others.
    rows: Vec<Row>,
    names: Vec<RequestName>,
}

/// Totals of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// All requests.
    pub requests: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Bytes of content received by requests that succeeded.
    pub received: u64,
    /// Bytes of content sent, also in incomplete replies.
    pub sent: u64,
}

/// The metrics of one command or method.
struct Row {
    name: &'static str,
    outcomes: Vec<(String, IntCounter)>,
    cut: IntCounter,
    duration: Histogram,
    received: IntCounter,
    sent: IntCounter,
}

/// The names of the metrics of one protocol.
struct Names {
    requests: [&'static str; 2],
    /// The labels of `requests`; the other metrics have the first label only.
    labels: [&'static str; 2],
    cut: &'static str,
    duration: &'static str,
    received: &'static str,
    sent: &'static str,
}

const WIRE_NAMES: Names = Names {
    requests: [
        "tnv_requests_total",
        "Requests by command and outcome: ok, the kind of the error, or aborted when the client \
         went away before the reply.",
    ],
    labels: ["command", "outcome"],
    cut: "tnv_replies_cut_total",
    duration: "tnv_request_duration_seconds",
    received: "tnv_content_received_bytes_total",
    sent: "tnv_content_sent_bytes_total",
};

const HTTP_NAMES: Names = Names {
    requests: [
        "tnv_http_requests_total",
        "HTTP requests by method and status code, or aborted when the client went away before the \
         reply.",
    ],
    labels: ["method", "code"],
    cut: "tnv_http_replies_cut_total",
    duration: "tnv_http_request_duration_seconds",
    received: "tnv_http_content_received_bytes_total",
    sent: "tnv_http_content_sent_bytes_total",
};

impl Requests {
    pub(super) fn of_wire(registry: &Registry, commands: &[(u8, &'static str)]) -> Requests {
        let outcomes = WIRE_OUTCOMES.map(str::to_owned);
        let labels = commands.iter().map(|(_, label)| *label);
        let names = commands.iter().map(|(command, _)| *command);
        Requests {
            rows: rows(registry, &WIRE_NAMES, labels, &outcomes),
            names: names.map(RequestName::Command).collect(),
        }
    }

    pub(super) fn of_http(registry: &Registry) -> Requests {
        let codes = status::ALL.iter().map(u16::to_string);
        let outcomes: Vec<String> = [HTTP_ABORTED.to_owned()].into_iter().chain(codes).collect();
        Requests {
            rows: rows(registry, &HTTP_NAMES, METHODS.into_iter(), &outcomes),
            names: METHODS.map(RequestName::Method).into(),
        }
    }

    /// Counts a request that has ended.
    pub(super) fn count(&self, end: &RequestEnd) {
        let known = self.position(end.name);
        self.rows[known.unwrap_or(self.names.len())].count(end);
    }

    fn position(&self, name: RequestName) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    /// Totals of a command of the wire protocol: requests that have ended.
    pub fn total(&self, command: u8) -> Total {
        let idx = self.position(RequestName::Command(command));
        idx.map_or(Total::default(), |idx| self.rows[idx].total())
    }

    /// The commands with requests, for `/status`: requests by outcome, their number and mean duration.
    pub(crate) fn describe(&self) -> serde_json::Value {
        let rows = self
            .rows
            .iter()
            .filter(|row| row.duration.get_sample_count() > 0);
        rows.map(|row| (row.name.to_owned(), row.describe()))
            .collect()
    }
}

fn rows(
    registry: &Registry,
    names: &Names,
    commands: impl Iterator<Item = &'static str>,
    outcomes: &[String],
) -> Vec<Row> {
    let label = &names.labels[..1];
    let counter = |name, help| counters(registry, name, help, label);
    let [name, help] = names.requests;
    let requests = counters(registry, name, help, &names.labels);
    let cut = counter(
        names.cut,
        "Replies that the client did not take to their end.",
    );
    let help = "Time from a whole request, without its content, until its reply is out.";
    let duration = histograms(registry, names.duration, help, label, &BOUNDS);
    let received = counter(
        names.received,
        "Content taken in by requests that succeeded.",
    );
    let sent = counter(names.sent, "Content sent, also in replies that were cut.");
    let row = |name| {
        let label = [name];
        let outcomes = outcomes.iter().map(|outcome| {
            let counter = requests.with_label_values(&[name, outcome.as_str()]);
            (outcome.clone(), counter)
        });
        Row {
            name,
            outcomes: outcomes.collect(),
            cut: cut.with_label_values(&label),
            duration: duration.with_label_values(&label),
            received: received.with_label_values(&label),
            sent: sent.with_label_values(&label),
        }
    };
    commands.chain([OTHER]).map(row).collect()
}

impl Row {
    fn count(&self, end: &RequestEnd) {
        let outcome = self.outcome(end.outcome);
        self.duration.observe(end.took.as_secs_f64());
        self.outcomes[outcome].1.inc();
        if outcome == OK {
            self.received.inc_by(end.received);
        }
        if let Some(sent) = end.sent {
            self.sent.inc_by(sent.bytes);
            self.cut.inc_by(u64::from(!sent.complete));
        }
    }

    /// The index of an outcome in `outcomes`.
    fn outcome(&self, outcome: Outcome) -> usize {
        match outcome {
            Outcome::Aborted => ABORTED,
            Outcome::Ok => OK,
            Outcome::Failed(code) => {
                let idx = ERRORS.iter().position(|known| *known == code);
                OK + 1 + idx.unwrap_or(ERRORS.len() - 1)
            }
            Outcome::Status(code) => {
                let idx = status::ALL.iter().position(|known| *known == code);
                idx.map_or(ABORTED, |idx| ABORTED + 1 + idx)
            }
            Outcome::Panicked => {
                let panicked = |(name, _): &(String, _)| PANICKED.contains(&name.as_str());
                self.outcomes.iter().position(panicked).unwrap_or(ABORTED)
            }
        }
    }

    fn total(&self) -> Total {
        // Read in this order, so that `ok` never exceeds `requests`.
        let ok = self.outcomes[OK].1.get();
        Total {
            ok,
            requests: self.outcomes.iter().map(|(_, counter)| counter.get()).sum(),
            received: self.received.get(),
            sent: self.sent.get(),
        }
    }

    fn describe(&self) -> serde_json::Value {
        let outcomes = self
            .outcomes
            .iter()
            .filter(|(_, counter)| counter.get() > 0);
        let outcomes: serde_json::Map<_, _> = outcomes
            .map(|(outcome, counter)| (outcome.clone(), counter.get().into()))
            .collect();
        let count = self.duration.get_sample_count();
        serde_json::json!({
            "total": count,
            "outcomes": outcomes,
            "cut": self.cut.get(),
            "mean_seconds": self.duration.get_sample_sum() / count as f64,
            "content_received_bytes": self.received.get(),
            "content_sent_bytes": self.sent.get(),
        })
    }
}
