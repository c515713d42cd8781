//! The reports that trackers get: space, counters, and whether the storage can serve.

use std::time::Instant;

use crossbeam_channel::Receiver;
use proto::ErrorCode;
use proto::report::Report;
use proto::tracker::TrackerRequest;

use super::support::{Node, PATIENCE, code};
use super::tracker::tracker;

#[test]
fn every_beat_comes_with_a_report_of_space_and_counters() {
    let (server, requests) = tracker(false);
    let node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
    let mut client = node.client();
    client.upload("film", b"content").unwrap();
    client.download("film", 0, 0).unwrap();
    client.size("none").unwrap_err();
    let deadline = std::time::Instant::now() + PATIENCE;
    let report = loop {
        let request = requests.recv_deadline(deadline).unwrap();
        if let TrackerRequest::Report(_, report) = request
            && report.counters.total_stat_count == 1
            && report.space.total > 0
        {
            break *report;
        }
    };
    let counters = report.counters;
    assert_eq!(
        (
            counters.total_upload_count,
            counters.success_upload_count,
            counters.success_upload_bytes,
            counters.success_download_count,
            counters.success_download_bytes,
            counters.success_stat_count,
        ),
        (1, 1, 7, 1, 7, 0)
    );
    assert!((1..=counters.connection_max_count).contains(&counters.connection_current_count));
    assert_eq!(report.paths.len(), 1);
    let path = &report.paths[0];
    assert_eq!(
        (&path.path, &*path.health),
        (&node.config.store_paths[0], "writable")
    );
    assert_eq!(path.space, report.space);
    assert!(report.space.available <= report.space.free && report.uploads);
    drop(node);
    server.shutdown();
}

/// The next report that is as it should be.
fn report(requests: &Receiver<TrackerRequest>, is: impl Fn(&Report) -> bool) -> Report {
    let deadline = Instant::now() + PATIENCE * 3;
    let mut last = None;
    loop {
        match requests.recv_deadline(deadline) {
            Ok(TrackerRequest::Report(_, report)) if is(&report) => return *report,
            Ok(TrackerRequest::Report(_, report)) => last = Some(report),
            Ok(_) => {}
            Err(e) => panic!("{e}, last was {last:?}"),
        }
    }
}

#[test]
fn a_storage_without_idservers_says_so_at_once_and_takes_no_uploads_when_no_number_is_left() {
    let (server, requests) = tracker(false);
    let mut node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    let well = |report: &Report| !report.idservers.is_empty();
    let told = report(&requests, well);
    assert_eq!((told.uploads, told.uploads_why.as_str()), (true, ""));
    let address = node.config.idservers[0].to_string();
    assert_eq!(told.idservers[0].address, address);
    assert_eq!(told.idservers[0].why, "");

    node.idserver.take().unwrap().shutdown();
    let told = report(&requests, |report| {
        report
            .idservers
            .iter()
            .any(|idserver| !idserver.why.is_empty())
    });
    // A number is left for each of the next uploads.
    assert!(told.uploads, "{}", told.uploads_why);
    let refused = (1..=100).find_map(|n| client.upload(&format!("b{n}"), b"").err());
    assert_eq!(refused.unwrap().code, ErrorCode::Unavailable);
    let told = report(&requests, |report| !report.uploads);
    assert!(
        told.uploads_why.starts_with("no idserver gives a number: "),
        "{}",
        told.uploads_why
    );
    assert!(told.downloads && told.downloads_why.is_empty());
    server.shutdown();
}

#[test]
fn a_storage_that_was_never_asked_for_a_file_knows_that_no_idserver_answers() {
    let (server, requests) = tracker(false);
    let node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.idservers = vec!["127.0.0.9:1".parse().unwrap()];
    });
    let told = report(&requests, |report| !report.uploads);
    assert!(
        told.uploads_why.contains("127.0.0.9:1"),
        "{}",
        told.uploads_why
    );
    drop(node);
    server.shutdown();
}

#[test]
fn a_storage_whose_database_takes_no_rows_tells_the_trackers_so() {
    let (server, requests) = tracker(false);
    let node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    assert!(report(&requests, |_| true).uploads);
    let database = node.folder.path().join("storage.db");
    let other = rusqlite::Connection::open(&database).unwrap();
    other.execute_batch("begin immediate").unwrap();
    assert_eq!(code(client.upload("b", b"content")), ErrorCode::Unavailable);
    let told = report(&requests, |report| !report.uploads);
    assert!(
        told.uploads_why.starts_with("database unavailable: "),
        "{}",
        told.uploads_why
    );
    assert!(told.downloads, "{}", told.downloads_why);
    other.execute_batch("rollback").unwrap();
    assert_eq!(report(&requests, |report| report.uploads).uploads_why, "");
    drop(node);
    server.shutdown();
}
