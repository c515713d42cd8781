//! Reports of storages and what trackers make of them: bounds, and fields of other versions.

use proptest::prelude::*;
use proto::cluster::{Cluster, Group, Storage, Tracker};
use proto::report::{
    Counters, Drain, Idserver, REPORT_ERRORS_MAX, REPORT_IDSERVERS_MAX, REPORT_PATHS_MAX,
    REPORT_TEXT_MAX, REPORT_WARNINGS_MAX, REPORT_WORDS_MAX, Report, ReportedError, Space,
    StorePath,
};
use proto::tracker::{Member, REPORT, TrackerRequest};
use proto::{HEAD_LEN, Head, Request};

fn space() -> impl Strategy<Value = Space> {
    any::<[u64; 4]>().prop_map(|[total, free, reserved, available]| Space {
        total,
        free,
        reserved,
        available,
    })
}

fn path() -> impl Strategy<Value = StorePath> {
    let words = ("[ -~]{1,64}", "[a-z-]{1,20}", "[ -~ü用]{0,40}");
    (words, space()).prop_map(|((path, health, why), space)| StorePath {
        path,
        space,
        health,
        why,
    })
}

fn counters() -> impl Strategy<Value = Counters> {
    any::<[u64; 3]>().prop_map(|[total, success, current]| Counters {
        total_upload_count: total,
        success_upload_count: success,
        total_download_bytes: total,
        connection_current_count: current,
        ..Counters::default()
    })
}

/// Reports within all limits, which arrive unchanged.
pub(crate) fn report() -> impl Strategy<Value = Report> {
    let drain = prop_oneof![Just(Drain::None), Just(Drain::Uploads), Just(Drain::All)];
    let error =
        (any::<i64>(), "[ -~]{0,100}").prop_map(|(time, text)| ReportedError { time, text });
    let lists = (
        proptest::collection::vec(path(), 0..4),
        proptest::collection::vec(error, 0..=REPORT_ERRORS_MAX),
        proptest::collection::vec("[ -~]{0,40}", 0..=REPORT_WARNINGS_MAX),
    );
    (
        any::<(bool, bool, i64)>(),
        drain,
        space(),
        lists,
        counters(),
    )
        .prop_map(
            |(
                (uploads, downloads, up_since),
                drain,
                space,
                (paths, errors, warnings),
                counters,
            )| Report {
                uploads,
                downloads,
                uploads_why: warnings.first().cloned().unwrap_or_default(),
                downloads_why: warnings.last().cloned().unwrap_or_default(),
                drain,
                version: "1.2.3-rc1".to_owned(),
                up_since,
                time: up_since,
                space,
                paths,
                counters,
                errors,
                idservers: warnings.iter().map(|why| idserver(why)).collect(),
                warnings,
            },
        )
}

fn idserver(why: &str) -> Idserver {
    Idserver {
        address: "10.0.0.3:22000".to_owned(),
        why: why.to_owned(),
    }
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let storage =
        (any::<i64>(), proptest::option::of(report())).prop_map(|(beat_time, report)| Storage {
            address: "10.0.0.1:23000".to_owned(),
            status: "ACTIVE".to_owned(),
            beat_time,
            report,
            ..Storage::default()
        });
    let group = ("[a-z0-9]{1,16}", proptest::collection::vec(storage, 0..3)).prop_map(
        |(name, storages)| Group {
            name,
            open: true,
            unregistered: true,
            storages,
        },
    );
    let tracker = Tracker {
        hostname: "t1".to_owned(),
        time: 7,
        ..Tracker::default()
    };
    proptest::collection::vec(group, 0..3).prop_map(move |groups| Cluster {
        tracker: tracker.clone(),
        groups,
        refused: Vec::new(),
    })
}

fn member() -> Member {
    Member {
        group: "group001".parse().unwrap(),
        hostname: "vm".parse().unwrap(),
    }
}

fn sent(report: Report) -> Vec<u8> {
    TrackerRequest::Report(member(), Box::new(report)).encode()
}

fn received(frame: &[u8]) -> Report {
    let head = Head::decode(frame.first_chunk().unwrap());
    let fixed = TrackerRequest::fixed_len(&head).unwrap();
    assert_eq!(frame.len(), HEAD_LEN + fixed);
    match TrackerRequest::decode(&head, &frame[HEAD_LEN..]).unwrap() {
        TrackerRequest::Report(_, report) => *report,
        other => panic!("{other:?}"),
    }
}

/// As [`received`], of a text that another version wrote.
fn read(text: &str) -> Report {
    let mut body = TrackerRequest::Beat(member()).encode().split_off(HEAD_LEN);
    body.extend_from_slice(text.as_bytes());
    body.push(0);
    let mut frame = Head::request(REPORT, body.len() as u64).encode().to_vec();
    frame.extend_from_slice(&body);
    received(&frame)
}

#[test]
fn a_report_that_is_too_long_is_sent_as_far_as_it_fits() {
    let path = StorePath {
        path: "\"\\".repeat(200),
        why: "\u{1b}[2J用".repeat(100),
        ..StorePath::default()
    };
    let error = ReportedError {
        time: 1,
        text: "\"".repeat(5000),
    };
    let frame = sent(Report {
        uploads: false,
        paths: vec![path; 500],
        errors: vec![error; 500],
        uploads_why: "no\u{7}number".repeat(100),
        downloads_why: "用".repeat(100),
        warnings: vec!["\u{1b}".repeat(5000); 500],
        idservers: vec![idserver(&"\"".repeat(5000)); 500],
        ..Report::default()
    });
    let report = received(&frame);
    assert!(!report.uploads);
    assert!(report.uploads_why.starts_with("no number"));
    assert_eq!(
        report.warnings,
        vec![" ".repeat(REPORT_WORDS_MAX); REPORT_WARNINGS_MAX]
    );
    assert!((1..=REPORT_IDSERVERS_MAX).contains(&report.idservers.len()));
    for text in [&report.uploads_why, &report.downloads_why] {
        assert!(text.len() <= REPORT_WORDS_MAX, "{text}");
    }
    assert!((1..=REPORT_PATHS_MAX).contains(&report.paths.len()));
    assert!(report.paths[0].path.len() <= REPORT_WORDS_MAX);
    assert!(!report.paths[0].why.contains('\u{1b}'));
}

#[test]
fn fields_of_other_versions_are_passed_over_or_have_their_defaults() {
    assert_eq!(read("{}"), Report::default());
    let report = read(r#"{"uploads":false,"drain":"sideways","tomorrow":{"a":[1]}}"#);
    assert_eq!((report.uploads, report.drain), (false, Drain::Uploads));
    // A storage that does not tell serves what it has.
    assert!(report.downloads && report.warnings.is_empty());
    assert_eq!(report.space, Space::default());
}

#[test]
fn what_a_stranger_sends_is_cut_to_its_bounds() {
    let paths = vec!["{}"; REPORT_TEXT_MAX / 4].join(",");
    let report = read(&format!("{{\"paths\":[{paths}]}}"));
    assert_eq!(report.paths.len(), REPORT_PATHS_MAX);
    let long = Head::request(REPORT, 147 + REPORT_TEXT_MAX as u64);
    assert!(TrackerRequest::fixed_len(&long).is_err());
}

#[test]
fn what_is_wrong_with_the_json_is_told() {
    for (text, part) in [
        (r#"{"uploads":1}"#, "expected a boolean"),
        ("hello", "at line 1 column 1"),
        (r#"{"up_since":1"#, "EOF"),
    ] {
        let body = [&[b'g', 0][..], &[0; 15], &[b'h', 0], &[0; 127]].concat();
        let body = [&body[..], text.as_bytes(), &[0]].concat();
        let head = Head::request(REPORT, body.len() as u64);
        let refused = TrackerRequest::decode(&head, &body).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains(part) && told.starts_with("report"), "{told}");
    }
}
