//! Figures are what was counted, and the page is what Prometheus reads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proto::ErrorCode;
use proto::idserver::{GET_ID, IdRequest};

use super::*;
use crate::net::Sent;

fn text(metrics: &Metrics) -> String {
    Page::new(metrics.gather()).text().unwrap()
}

fn sent(bytes: u64, complete: bool) -> Sent {
    Sent { bytes, complete }
}

#[test]
fn a_request_is_counted_once_by_how_it_ended() {
    let metrics = Metrics::of_wire::<IdRequest>();
    let begin = |command| metrics.requests.begin(command);
    begin(GET_ID).succeed(10).end(sent(18, true));
    begin(GET_ID).succeed(10).end(sent(9, false));
    begin(GET_ID)
        .fail(ErrorCode::Unavailable)
        .end(sent(40, true));
    drop(begin(GET_ID));
    drop(begin(GET_ID).succeed(10));
    begin(77).fail(ErrorCode::BadRequest).end(sent(40, true));
    let total = Total {
        requests: 5,
        ok: 3,
        received: 0,
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
    for code in [None, Some(ErrorCode::NoSpace)] {
        let mut tally = metrics.requests.begin(GET_ID);
        tally.receive(100);
        tally.receive(20);
        let tally = match code {
            None => tally.succeed(10),
            Some(code) => tally.fail(code),
        };
        tally.end(sent(10, true));
    }
    let line = "tnv_content_received_bytes_total{command=\"get-id\"} 120\n";
    assert!(text(&metrics).contains(line));
}

#[test]
fn http_is_counted_by_method_and_status() {
    let metrics = Metrics::of_http();
    let begin = |method| metrics.requests.begin_http(method);
    begin(Some(&tiny_http::Method::Get))
        .answer(206, 200)
        .end(sent(1200, true));
    begin(None).answer(400, 100).end(sent(110, true));
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
    let panic_in = |tally: Tally| {
        let serve = AssertUnwindSafe(|| {
            let _tally = tally;
            panic!("as the test wants it");
        });
        catch_unwind(serve).unwrap_err();
    };
    let http = Metrics::of_http();
    panic_in(http.requests.begin_http(Some(&tiny_http::Method::Get)));
    let line = "tnv_http_requests_total{code=\"500\",method=\"get\"} 1";
    assert!(text(&http).contains(line));
    let wire = Metrics::of_wire::<IdRequest>();
    panic_in(wire.requests.begin(GET_ID));
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
