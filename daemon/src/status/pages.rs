//! The pages of the status port.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use log::error;
use net::http::{Handler, Method, Request, Response, status};
use net::{Answer, Part, WorkerPool, timestamp};
use serde_json::{Value, json};

use super::{Health, StatusSource};
use crate::metrics::{COMMIT, Metrics, Page, RUSTC, VERSION};

/// The format of [`Page::text`].
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "/status   JSON: what is to be known of this daemon
/metrics  for Prometheus
/healthz  200: all it is there for can be done; 503: not, and why
/livez    200: the process answers";

pub(super) struct Pages<S> {
    name: &'static str,
    metrics: Arc<Metrics>,
    source: S,
}

impl<S: StatusSource> Handler for Pages<S> {
    const USES_LAST_DESCRIPTORS: bool = true;

    fn handle(&self, request: Request) -> Answer<Response> {
        Answer::Now(self.page(&request))
    }
}

impl<S: StatusSource> Pages<S> {
    pub(super) fn new(name: &'static str, metrics: Arc<Metrics>, source: S) -> Pages<S> {
        Pages {
            name,
            metrics,
            source,
        }
    }

    fn page(&self, request: &Request) -> Response {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Response::text(status::METHOD_NOT_ALLOWED, "method not allowed")
                .with("Allow", "GET, HEAD");
        }
        match request.path() {
            "/" => Response::text(status::OK, INDEX),
            "/status" => self.status(),
            "/metrics" => self.metrics(),
            "/healthz" => self.healthz(),
            "/livez" => Response::text(status::OK, "alive"),
            _ => Response::text(status::NOT_FOUND, "not found"),
        }
    }

    fn health(&self) -> Health {
        let mut health = Health::default();
        if self.metrics.is_stopping() {
            health.fail("stopping");
        }
        for (pool, name) in [(WorkerPool::Slow, "slow"), (WorkerPool::Fast, "fast")] {
            if self.metrics.net.pool(pool).stuck.get() > 0 {
                health.degrade(format!(
                    "requests wait, and no {name} worker has taken one for queue_timeout"
                ));
            }
        }
        self.source.health(&mut health);
        health
    }

    fn healthz(&self) -> Response {
        let health = self.health();
        let code = if health.serves() {
            status::OK
        } else {
            status::UNAVAILABLE
        };
        let lines: Vec<&str> = [health.state()]
            .into_iter()
            .chain(health.reasons())
            .collect();
        Response::text(code, &lines.join("\n"))
    }

    fn metrics(&self) -> Response {
        let mut page = Page::new(self.metrics.gather());
        self.measure(&mut page);
        self.source.measure(&mut page);
        match page.text() {
            Ok(text) => content(METRICS_TYPE, text),
            Err(e) => {
                error!("metrics cannot be written: {e}");
                Response::text(status::INTERNAL_ERROR, "metrics cannot be written")
            }
        }
    }

    fn measure(&self, page: &mut Page) {
        let build = [
            ("daemon", self.name),
            ("version", VERSION),
            ("commit", COMMIT),
            ("rustc", RUSTC),
        ];
        page.gauge("tnv_build_info", "What is running; always 1.")
            .sample(&build, 1.0);
        page.gauge("tnv_uptime_seconds", "Time since the daemon started.")
            .sample(&[], self.metrics.uptime().as_secs_f64());
        let state = self.health().state();
        let help = "Whether the daemon can do its work: 1 for the state it is in, see /healthz.";
        let mut family = page.gauge("tnv_health", help);
        for known in Health::STATES {
            family = family.sample(&[("state", known)], f64::from(u8::from(known == state)));
        }
    }

    fn status(&self) -> Response {
        let health = self.health();
        let reasons: Vec<&str> = health.reasons().collect();
        let uptime = self.metrics.uptime();
        let mut whole = json!({
            "daemon": self.name,
            "version": VERSION,
            "commit": COMMIT,
            "rustc": RUSTC,
            "pid": std::process::id(),
            "started": started(uptime),
            "uptime_seconds": uptime.as_secs(),
            "health": { "state": health.state(), "reasons": reasons },
            "connections": self.connections(),
            "workers": { "slow": self.pool(WorkerPool::Slow), "fast": self.pool(WorkerPool::Fast) },
            "requests": self.metrics.requests.describe(),
        });
        if let (Some(whole), Value::Object(own)) = (whole.as_object_mut(), self.source.describe()) {
            whole.extend(own);
        }
        content("application/json", format!("{whole:#}\n"))
    }

    fn connections(&self) -> Value {
        let net = &self.metrics.net;
        json!({
            "open": net.open.get(),
            "accepted": net.accepted.get(),
            "refused": net.refused.get(),
            "evicted": net.evicted.get(),
            "received_bytes": net.received.get(),
            "sent_bytes": net.sent.get(),
        })
    }

    fn pool(&self, pool: WorkerPool) -> Value {
        let pool = self.metrics.net.pool(pool);
        json!({
            "threads": pool.workers.get(),
            "busy": pool.busy.get(),
            "queue_length": pool.queued.get(),
        })
    }
}

fn started(uptime: Duration) -> String {
    let started = SystemTime::now() - uptime;
    timestamp(started.into())
}

fn content(content_type: &'static str, text: String) -> Response {
    let body = text.into_bytes();
    Response {
        length: body.len() as u64,
        body: vec![Part::Bytes(body)],
        ..Response::empty(status::OK)
    }
    .with("Content-Type", content_type)
    .with("Cache-Control", "no-store")
}
