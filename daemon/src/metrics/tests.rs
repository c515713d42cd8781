//! Figures are what was counted, and the page is what Prometheus reads.

use net::{Outcome, RequestName, Sent};
use proto::ErrorCode;
use proto::idserver::{GET_ID, IdRequest};

use super::*;

fn text(metrics: &Metrics) -> String {
    Page::new(metrics.gather()).text().unwrap()
}

/// Counts a request, of whose reply so many bytes of content were sent, and whether that was all.
fn count(metrics: &Metrics, name: RequestName, outcome: Outcome, sent: Option<(u64, bool)>) {
    metrics.request(&RequestEnd {
        name,
        outcome,
        took: Duration::from_millis(1),
        received: 120,
        sent: sent.map(|(bytes, complete)| Sent {
            bytes,
            local: 0,
            complete,
        }),
    });
}

const GET: RequestName = RequestName::Command(GET_ID);

#[test]
fn a_request_is_counted_once_by_how_it_ended() {
    let metrics = Metrics::of_wire::<IdRequest>();
    let unavailable = Outcome::Failed(ErrorCode::Unavailable);
    count(&metrics, GET, Outcome::Ok, Some((8, true)));
    count(&metrics, GET, Outcome::Ok, Some((0, false)));
    count(&metrics, GET, unavailable, Some((0, true)));
    count(&metrics, GET, Outcome::Aborted, None);
    count(&metrics, GET, Outcome::Ok, None);
    let unknown = RequestName::Command(77);
    let refused = Outcome::Failed(ErrorCode::BadRequest);
    count(&metrics, unknown, refused, Some((0, true)));
    let proof = RequestName::Command(43);
    let wrong = Outcome::Failed(ErrorCode::Forbidden);
    count(&metrics, proof, wrong, Some((0, true)));
    let total = Total {
        requests: 5,
        ok: 3,
        received: 360,
        sent: 8,
    };
    assert_eq!(metrics.requests.total(GET_ID), total);
    assert_eq!(metrics.requests.total(77), Total::default());
    let text = text(&metrics);
    for line in [
        "tnv_requests_total{command=\"get-id\",outcome=\"ok\"} 3",
        "tnv_requests_total{command=\"get-id\",outcome=\"unavailable\"} 1",
        "tnv_requests_total{command=\"get-id\",outcome=\"aborted\"} 1",
        "tnv_requests_total{command=\"get-id\",outcome=\"no_space\"} 0",
        "tnv_requests_total{command=\"other\",outcome=\"bad_request\"} 1",
        "tnv_requests_total{command=\"authenticate\",outcome=\"forbidden\"} 1",
        "tnv_replies_cut_total{command=\"get-id\"} 1",
        "tnv_content_sent_bytes_total{command=\"get-id\"} 8",
        "tnv_request_duration_seconds_count{command=\"get-id\"} 5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn content_counts_when_the_request_succeeded() {
    let metrics = Metrics::of_wire::<IdRequest>();
    for outcome in [Outcome::Ok, Outcome::Failed(ErrorCode::NoSpace)] {
        count(&metrics, GET, outcome, Some((0, true)));
    }
    let line = "tnv_content_received_bytes_total{command=\"get-id\"} 120\n";
    assert!(text(&metrics).contains(line));
}

#[test]
fn http_is_counted_by_method_and_status() {
    let metrics = Metrics::of_http();
    let partial = Some((1000, true));
    let [get, other] = ["get", "other"].map(RequestName::Method);
    count(&metrics, get, Outcome::Status(206), partial);
    count(&metrics, other, Outcome::Status(400), Some((10, true)));
    let text = text(&metrics);
    for line in [
        "tnv_http_requests_total{code=\"206\",method=\"get\"} 1",
        "tnv_http_requests_total{code=\"400\",method=\"other\"} 1",
        "tnv_http_requests_total{code=\"200\",method=\"head\"} 0",
        "tnv_http_content_sent_bytes_total{method=\"get\"} 1000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn a_request_whose_service_panics_is_a_failure_of_ours() {
    let http = Metrics::of_http();
    let get = RequestName::Method("get");
    count(&http, get, Outcome::Panicked, None);
    let line = "tnv_http_requests_total{code=\"500\",method=\"get\"} 1";
    assert!(text(&http).contains(line));
    let wire = Metrics::of_wire::<IdRequest>();
    count(&wire, GET, Outcome::Panicked, None);
    let line = "tnv_requests_total{command=\"get-id\",outcome=\"unknown\"} 1";
    assert!(text(&wire).contains(line));
}

#[test]
fn a_page_escapes_labels_and_leaves_out_what_has_no_samples() {
    let mut page = Page::default();
    page.gauge("tnv_b", "B.")
        .sample(&[("path", "a\"b\\c\nd")], 1.5);
    page.counter("tnv_a_total", "A.")
        .sample(&[], 3.0)
        .sample(&[("x", "y")], 4.0);
    page.gauge("tnv_empty", "Nothing.");
    assert_eq!(
        page.text().unwrap(),
        "# HELP tnv_a_total A.\n# TYPE tnv_a_total counter\ntnv_a_total 3\ntnv_a_total{x=\"y\"} 4\n\
         # HELP tnv_b B.\n# TYPE tnv_b gauge\ntnv_b{path=\"a\\\"b\\\\c\\nd\"} 1.5\n"
    );
}
