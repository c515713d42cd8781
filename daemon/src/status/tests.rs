//! The pages, asked over a socket.

use net::http::Handler;
use net::{NetEvent, Observer, WorkerPool};
use proto::idserver::IdRequest;
use serde_json::{Value, json};
use test_support::http::{browse, page};

use super::*;

/// A daemon with something wrong.
struct Patient(Health);

impl StatusSource for Patient {
    fn health(&self, health: &mut Health) {
        if self.0 != Health::default() {
            *health = self.0.clone();
        }
    }

    fn measure(&self, page: &mut Page) {
        page.gauge("tnv_beds", "Beds.").sample(&[], 2.0);
    }

    fn describe(&self) -> Value {
        json!({ "beds": 2 })
    }
}

fn start(health: Health) -> (StatusPort, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::of_wire::<IdRequest>());
    let config = StatusConfig::at(([127, 0, 0, 1], 0).into());
    let port = StatusPort::start(
        "tnv-test",
        config.bind().unwrap(),
        &metrics,
        Patient(health),
    )
    .unwrap();
    (port, metrics)
}

/// The code and the body.
fn get(port: &StatusPort, path: &str) -> (u16, String) {
    let answer = page(port.addr().unwrap(), path);
    (answer.status, answer.text().to_owned())
}

#[test]
fn health_is_a_code_for_machines_and_reasons_for_people() {
    let mut health = Health::default();
    let ask = |health: &Health| {
        let (port, _) = start(health.clone());
        let answer = get(&port, "/healthz");
        assert_eq!(get(&port, "/livez"), (200, "alive\n".to_owned()));
        port.shutdown();
        answer
    };
    assert_eq!(ask(&health), (200, "ok\n".to_owned()));
    health.degrade("one of two doctors is away");
    assert_eq!(
        ask(&health),
        (200, "degraded\none of two doctors is away\n".to_owned())
    );
    health.fail("no bed");
    let text = "failing\nno bed\none of two doctors is away\n";
    assert_eq!(ask(&health), (503, text.to_owned()));
}

#[test]
fn a_pool_without_a_free_worker_is_degraded_until_one_comes() {
    for pool in [WorkerPool::Slow, WorkerPool::Fast] {
        let (port, metrics) = start(Health::default());
        metrics.event(NetEvent::Stuck(pool, true));
        let (code, text) = get(&port, "/healthz");
        assert_eq!(code, 200);
        assert!(text.starts_with("degraded\nrequests wait"), "{text}");
        metrics.event(NetEvent::Stuck(pool, false));
        assert_eq!(get(&port, "/healthz"), (200, "ok\n".to_owned()));
        port.shutdown();
    }
}

#[test]
fn pages_are_shown_while_hardly_a_descriptor_is_left() {
    const { assert!(<Pages<Patient> as Handler>::USES_LAST_DESCRIPTORS) };
}

#[test]
fn metrics_are_the_frames_and_the_daemons() {
    let (port, _) = start(Health::default());
    let (code, text) = get(&port, "/metrics");
    assert_eq!(code, 200);
    for line in [
        "tnv_beds 2",
        "tnv_health{state=\"ok\"} 1",
        "tnv_health{state=\"failing\"} 0",
        "# TYPE tnv_requests_total counter",
        "# TYPE process_open_fds gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        text.contains("tnv_build_info{daemon=\"tnv-test\",version=\"0."),
        "{text}"
    );
    port.shutdown();
}

#[test]
fn status_is_one_object() {
    let (port, metrics) = start(Health::default());
    metrics.begin_stop();
    let (code, text) = get(&port, "/status");
    assert_eq!(code, 200);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["daemon"], "tnv-test");
    assert_eq!(status["beds"], 2);
    assert_eq!(status["connections"]["open"], 0);
    assert_eq!(status["workers"]["slow"]["busy"], 0);
    port.shutdown();
}

#[test]
fn what_is_not_there_is_refused() {
    let (port, metrics) = start(Health::default());
    assert_eq!(get(&port, "/secret").0, 404);
    assert_eq!(get(&port, "/").0, 200);
    assert_eq!(get(&port, "/healthz").0, 200);
    metrics.begin_stop();
    let mut browser = browse(port.addr().unwrap());
    assert_eq!(browser.ask("PUT", "/metrics", &[]).status, 405);
    port.shutdown();
    let off = StatusConfig::off();
    let port = StatusPort::start(
        "tnv-test",
        off.bind().unwrap(),
        &metrics,
        Patient(Health::default()),
    );
    assert_eq!(port.unwrap().addr(), None);
}
