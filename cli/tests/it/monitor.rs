//! `tnv monitor` against trackers that say what they are told to.

use std::io::{Read, Write};
use std::process::Output;
use std::sync::{Arc, Mutex};

use proto::Address;
use proto::cluster::{Cluster, Group, RejectedJoin, Storage, Tracker};
use proto::report::{Counters, Drain, Idserver, Report, ReportedError, Space, StorePath};
use proto::tracker::{REPLY, TrackerRequest};
use serde_json::Value;
use tempfile::TempDir;
use test_peers::fake::{Fake, dead_address, read_request, reply};
use test_peers::tracker::FakeTracker;

use crate::support::{code, stdout, tnv};

/// A tracker of ours that says this.
fn tracker(cluster: &Arc<Mutex<Cluster>>) -> Fake {
    let cluster = Arc::clone(cluster);
    Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            assert_eq!(request, TrackerRequest::Cluster);
            reply(stream, REPLY, &cluster.lock().unwrap().encode());
        }
    })
}

fn storage(host: u8) -> Storage {
    let space = Space {
        total: 1000 << 30,
        free: 500 << 30,
        reserved: 100 << 30,
        available: 400 << 30,
    };
    let path = StorePath {
        path: "/data".to_owned(),
        space,
        health: "writable".to_owned(),
        why: String::new(),
    };
    let report = Report {
        version: "1.2.3".to_owned(),
        space,
        paths: vec![path],
        counters: Counters {
            total_upload_count: 45035,
            ..Counters::default()
        },
        errors: vec![ReportedError {
            time: 1,
            text: "no\u{1b}[2J luck".to_owned(),
        }],
        ..Report::default()
    };
    Storage {
        address: format!("10.0.0.{host}:23000"),
        hostname: format!("host{host}"),
        version: "1.2.3".to_owned(),
        status: "ACTIVE".to_owned(),
        beat_time: 1000,
        report: Some(report),
        ..Storage::default()
    }
}

fn cluster() -> Cluster {
    Cluster {
        tracker: Tracker {
            hostname: "t1".to_owned(),
            version: "1.2.3".to_owned(),
            ..Tracker::default()
        },
        groups: vec![Group {
            name: "group001".to_owned(),
            open: true,
            unregistered: false,
            storages: vec![storage(1), storage(2)],
        }],
        refused: Vec::new(),
    }
}

fn monitor(trackers: &[&str], args: &[&str]) -> Output {
    let dir = TempDir::new().unwrap();
    let args = [&["monitor"], args].concat();
    tnv(dir.path(), &trackers.join(";"), &args)
        .output()
        .unwrap()
}

/// The exit code and the line of a check.
fn check(trackers: &[&str]) -> (i32, String) {
    let output = monitor(trackers, &["--check"]);
    let line = stdout(&output).to_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    (code(&output), line)
}

#[test]
fn the_page_has_the_words_of_fdfs_monitor() {
    let mut cluster = cluster();
    cluster.groups[0].storages[1].untried = true;
    let fake = tracker(&Arc::new(Mutex::new(cluster)));
    let output = monitor(&[fake.address.as_str()], &[]);
    assert_eq!(code(&output), 0);
    // Nothing is wrong with it.
    assert_eq!(check(&[fake.address.as_str()]).0, 0);
    let page = stdout(&output);
    for line in [
        "tracker server count=1, current server index=0",
        "group count: 1",
        "Group 1:",
        "group name = group001",
        "disk total space     =   1000 GB",
        "disk available space =    400 GB",
        "storage server count = 2",
        "readable server count = 2",
        "\tStorage 2:",
        "\t\thost = 10.0.0.2:23000  ACTIVE",
        "\t\taddress = not tried, see check_networks of the trackers",
        "\t\tread write mode = both (normal)",
        "\t\tversion = 1.2.3",
        "\t\ttotal_upload_count = 45035",
    ] {
        assert!(page.lines().any(|l| l == line), "{line:?} in {page}");
    }
    assert!(page.contains("no\\u{1b}[2J luck") && !page.contains('\u{1b}'));
}

#[test]
fn what_strangers_say_makes_no_lines_of_its_own() {
    let mut cluster = cluster();
    let storage = &mut cluster.groups[0].storages[0];
    storage.notes = vec!["well\n\t\tstatus = fine\u{1b}[2J".to_owned()];
    storage.hostname = "h\nGroup 7:".to_owned();
    cluster.refused = vec![RejectedJoin {
        time: 1,
        text: "x\ngroup count: 9".to_owned(),
    }];
    let fake = tracker(&Arc::new(Mutex::new(cluster)));
    let output = monitor(&[fake.address.as_str()], &[]);
    let page = stdout(&output);
    for line in [
        "\t\tnote = well\\n\\t\\tstatus = fine\\u{1b}[2J",
        "\t\thost name = h\\nGroup 7:",
        "refused: x\\ngroup count: 9 (by tracker ",
    ] {
        assert!(
            page.lines().any(|l| l.starts_with(line)),
            "{line:?} in {page}"
        );
    }
}

#[test]
fn trackers_that_differ_and_trackers_that_are_away_are_told() {
    let (one, other) = (cluster(), Arc::new(Mutex::new(cluster())));
    other.lock().unwrap().groups[0].storages[0].status = "OFFLINE".to_owned();
    other.lock().unwrap().groups[0].storages.pop();
    let (one, other) = (tracker(&Arc::new(Mutex::new(one))), tracker(&other));
    let dead = dead_address();
    let trackers = [dead.as_str(), one.address.as_str(), other.address.as_str()];
    let page = monitor(&trackers, &[]);
    let text = stdout(&page);
    let (one, other) = (&one.address, &other.address);
    for line in [
        "tracker server count=3, current server index=1".to_owned(),
        format!("trackers differ: group001 10.0.0.1:23000 is ACTIVE at {one}, OFFLINE at {other}"),
        format!("trackers differ: group001 10.0.0.2:23000 is ACTIVE at {one}, unknown at {other}"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in {text}");
    }
    let json: Value = serde_json::from_str(stdout(&monitor(&trackers, &["--json"]))).unwrap();
    assert_eq!(json["differences"].as_array().unwrap().len(), 2);
    assert!(json["trackers"][0]["error"].is_string());
    let report = &json["groups"][0]["storages"][1]["report"];
    assert_eq!(report["counters"]["total_upload_count"], 45035);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    assert!(line.starts_with("TNV WARNING - ") && line.contains("does not answer"));
}

#[test]
fn a_check_ends_as_monitoring_systems_want_it() {
    let state = Arc::new(Mutex::new(cluster()));
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let report = |host: usize, change: &dyn Fn(&mut Report)| {
        let mut state = state.lock().unwrap();
        *state = cluster();
        change(state.groups[0].storages[host].report.as_mut().unwrap());
    };
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 0, "{line}");
    let figures = line.split(" | ").nth(1).unwrap();
    assert!(figures.starts_with("trackers=1;;;0;1 groups=1 storages=2 readable=2 writable=2 "));
    assert!(figures.contains(&format!("group001_available={}B;", 400u64 << 30)));

    report(0, &|report| report.space.available = 150 << 30);
    assert_eq!(check(&trackers).0, 1);
    report(0, &|report| report.space.available = 50 << 30);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 2);
    assert!(line.starts_with("TNV CRITICAL - group001 has 5% of its disk available | "));
    report(0, &|report| report.paths[0].health = "read-only".to_owned());
    assert_eq!(check(&trackers).0, 1);
    report(0, &|report| report.drain = Drain::All);
    state.lock().unwrap().groups[0].storages[0].offered = false;
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 0);
    assert!(line.contains(" readable=1 writable=1"), "{line}");
    report(1, &|report| report.downloads = false);
    let (_, line) = check(&trackers);
    assert!(line.contains(" readable=1 writable=1"), "{line}");
    assert!(stdout(&monitor(&trackers, &[])).contains("none (no store path answers)"));
    for storage in &mut state.lock().unwrap().groups[0].storages {
        storage.report.as_mut().unwrap().uploads = false;
    }
    assert_eq!(check(&trackers).0, 2);
    let warning = "3 files are damaged\u{1b}[2J".to_owned();
    report(0, &|report| report.warnings = vec![warning.clone()]);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    assert!(
        line.contains("group001 10.0.0.1:23000: 3 files are damaged"),
        "{line}"
    );
    let page = monitor(&trackers, &[]);
    let told = "\t\twarning = 3 files are damaged\\u{1b}[2J";
    assert!(stdout(&page).lines().any(|line| line == told));

    let (exit, line) = check(&[dead_address().as_str()]);
    assert_eq!((exit, line.contains("no tracker answers")), (2, true));
    assert_eq!(code(&monitor(&[dead_address().as_str()], &[])), 5);
    assert_eq!(check(&["nonsense"]).0, 3);
    assert_eq!(
        code(&monitor(&trackers, &["--check", "--critical", "200"])),
        3
    );
    assert_eq!(code(&monitor(&trackers, &["--critical", "200"])), 2);
}

#[test]
fn a_group_that_is_closed_need_not_take_uploads_and_one_that_nobody_entered_is_told() {
    let state = Arc::new(Mutex::new(cluster()));
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let change = |change: &dyn Fn(&mut Group)| change(&mut state.lock().unwrap().groups[0]);
    change(&|group| {
        group.open = false;
        for storage in &mut group.storages {
            let report = storage.report.as_mut().unwrap();
            report.uploads = false;
            report.space.available = 0;
        }
    });
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 0, "{line}");
    change(&|group| group.unregistered = true);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    assert!(
        line.contains("group group001 is not in the database"),
        "{line}"
    );
    let page = monitor(&trackers, &[]);
    let told = "takes new users = no (group is not in the database)";
    assert!(stdout(&page).lines().any(|line| line == told));
    change(&|group| group.open = true);
    assert_eq!(check(&trackers).0, 2);
    let output = monitor(&trackers, &["--check", "-w", "5", "-c", "20"]);
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).starts_with("TNV UNKNOWN - --warning is below --critical"));
}

#[test]
fn a_check_waits_five_seconds_for_a_tracker_that_hangs_unless_told_otherwise() {
    let hung = Fake::start(
        |_, stream| {
            while read_request::<TrackerRequest>(stream).is_some() {}
        },
    );
    let trackers = [hung.address.as_str()];
    for (args, period) in [
        (&["--check"][..], "5s"),
        (&["--check", "--timeout", "1s"], "1s"),
    ] {
        let output = monitor(&trackers, args);
        assert_eq!(code(&output), 2);
        let told = format!("timed out after {period}");
        assert!(stdout(&output).contains(&told), "{}", stdout(&output));
    }
}

#[test]
fn of_a_storage_that_trackers_of_both_kinds_know_the_fuller_entry_is_shown() {
    let address: Address = "10.0.0.1:23000".parse().unwrap();
    let cpp = FakeTracker::start(&[&address]);
    let mut known = cluster();
    known.groups[0].storages.truncate(1);
    // The C++ tracker heard of it later, as far as can be told from times without a zone.
    known.groups[0].storages[0].beat_time = 1000;
    known.groups[0].storages[0].node = "a1".to_owned();
    let known = Arc::new(Mutex::new(known));
    let ours = tracker(&known);
    let trackers = [cpp.fake.address.as_str(), ours.address.as_str()];
    for trackers in [trackers, [trackers[1], trackers[0]]] {
        let output = monitor(&trackers, &[]);
        let page = stdout(&output);
        for line in ["\t\tid = a1", "disk total space     =   1000 GB"] {
            assert!(page.lines().any(|l| l == line), "{line:?} in {page}");
        }
    }
    // One that lives is no less there because a tracker that knows more has lost it.
    known.lock().unwrap().groups[0].storages[0].status = "OFFLINE".to_owned();
    let page = monitor(&trackers, &[]);
    let line = "\t\thost = 10.0.0.1:23000  ACTIVE";
    assert!(
        stdout(&page).lines().any(|l| l == line),
        "{}",
        stdout(&page)
    );
}

#[test]
fn of_a_cpp_tracker_its_list_is_shown() {
    let address = dead_address();
    let list = FakeTracker::start(&[&address]);
    let fake = &list.fake;
    let output = monitor(&[fake.address.as_str()], &[]);
    let page = stdout(&output);
    assert_eq!(code(&output), 0, "{page}");
    assert!(page.contains("tells its list of groups only"));
    assert!(page.contains(&format!("host = {address}  ACTIVE")));
    assert!(page.contains("join time = 2026-11-21T23:36:52"), "{page}");
    let (exit, line) = check(&[fake.address.as_str()]);
    assert_eq!(exit, 0, "{line}");
}

/// A status port that answers `/healthz` like this.
fn status_port(code: &'static str, body: &'static str) -> Fake {
    Fake::start(move |_, mut stream| {
        let mut request = [0; 4096];
        let n = stream.read(&mut request).unwrap();
        assert!(request[..n].starts_with(b"GET /healthz HTTP/1.1\r\n"));
        let head = format!("HTTP/1.1 {code}\r\nContent-Length: {}\r\n\r\n", body.len());
        // The client may have all it wants already.
        let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
    })
}

#[test]
fn what_keeps_a_group_from_taking_files_is_told_and_what_one_storage_lacks_too() {
    let state = Arc::new(Mutex::new(cluster()));
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let change = |hosts: &[usize], change: &dyn Fn(&mut Report)| {
        let mut state = state.lock().unwrap();
        *state = cluster();
        for &host in hosts {
            change(state.groups[0].storages[host].report.as_mut().unwrap());
        }
    };
    let no_number = "no idserver gives a number: 10.0.0.3:22000: refused";
    let no_numbers = |report: &mut Report| {
        report.uploads = false;
        report.uploads_why = no_number.to_owned();
        report.idservers = vec![Idserver {
            address: "10.0.0.3:22000".to_owned(),
            why: "refused".to_owned(),
        }];
    };
    change(&[0, 1], &no_numbers);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 2, "{line}");
    let told = format!("TNV CRITICAL - group001 takes no uploads: {no_number}; ");
    assert!(line.starts_with(&told), "{line}");
    assert!(
        line.contains("idserver 10.0.0.3:22000 gives no numbers: refused"),
        "{line}"
    );
    assert!(line.contains(" writable=0"), "{line}");
    change(&[1], &no_numbers);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    let told = format!("group001 10.0.0.2:23000 takes no uploads: {no_number}");
    assert!(line.contains(&told), "{line}");
    let page = monitor(&trackers, &[]);
    let told = format!("\t\tread write mode = read ({no_number})");
    assert!(stdout(&page).lines().any(|line| line == told));
    change(&[0, 1], &|report| {
        report.downloads = false;
        report.downloads_why = "database error: cannot read".to_owned();
    });
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 2, "{line}");
    let told = "group001 has no storage that serves: database error: cannot read";
    assert!(line.contains(told), "{line}");
}

#[test]
fn status_ports_of_idservers_and_httpds_are_asked() {
    let fake = tracker(&Arc::new(Mutex::new(cluster())));
    let ok = status_port("200 OK", "ok\n");
    let failing = status_port("503 Service Unavailable", "failing\nno tracker answers\n");
    let foreign = status_port("404 Not Found", "404\n");
    let trackers = [fake.address.as_str()];
    let ask = |args: &[&str]| {
        let output = monitor(&trackers, args);
        (code(&output), stdout(&output).to_owned())
    };
    let [ok, failing, foreign] = [&ok, &failing, &foreign].map(|port| port.address.as_str());
    let (exit, line) = ask(&["--check", "--httpds", ok, "--idservers", ok]);
    assert_eq!(exit, 0, "{line}");
    let both = format!("{failing};{ok}");
    let (exit, line) = ask(&["--check", "--httpds", &both]);
    assert_eq!(exit, 1, "{line}");
    assert!(
        line.contains(&format!("httpd {failing} is failing: no tracker answers")),
        "{line}"
    );
    let dead = dead_address();
    let none = format!("{failing};{dead};{foreign}");
    let (exit, line) = ask(&["--check", "--idservers", &none]);
    assert_eq!(exit, 2, "{line}");
    assert!(
        line.starts_with("TNV CRITICAL - no idserver serves; "),
        "{line}"
    );
    assert!(
        line.contains(&format!("idserver {dead} does not answer: ")),
        "{line}"
    );
    assert!(line.contains("it is no status port of tnv"), "{line}");

    let dir = TempDir::new().unwrap();
    let settings = format!("[monitor]\nhttpds = [\"{failing}\"]\n");
    std::fs::write(dir.path().join("s.toml"), settings).unwrap();
    let args = ["--config", "s.toml", "monitor"];
    let output = tnv(dir.path(), trackers[0], &args).output().unwrap();
    let told = format!("httpd {failing} is failing: no tracker answers");
    assert!(stdout(&output).lines().any(|line| line == told));
    let (_, text) = ask(&["--json", "--httpds", ok]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["status_ports"][0]["state"], "ok");
}
