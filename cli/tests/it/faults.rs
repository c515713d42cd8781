//! Downloads from storages with faults, and a tracker that does not answer.

use std::time::{Duration, Instant};

use proto::tracker::TrackerRequest;
use test_peers::cpp::{cpp_storage, failing_at};
use test_peers::fake::silent;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, damaged_storage};
use test_peers::support::{content, key};

use crate::support::{SLACK, Setup, code, stderr, stdout};

const LEN: usize = 700_000;

fn damaged() -> FakeStorage {
    damaged_storage(&key("f"), &content(LEN))
}

#[test]
fn the_command_line_downloads_again_from_another_storage() {
    let memory = memory_with(&key("f"), &content(LEN));
    let (bad, good) = (damaged(), FakeStorage::good(&memory));
    let setup = Setup::new(&[&bad, &good]);
    let output = setup.run(&["download", "f", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(setup.read("f").unwrap() == content(LEN));
    assert!(stdout(&output).contains("\"verified\":true"));
    let address = bad.fake.address.as_str();
    assert!(stderr(&output).contains(address), "{}", stderr(&output));
    assert_eq!(bad.requests(), ["read"]);
}

#[test]
fn damaged_at_every_storage_is_damaged() {
    let storages = [damaged(), damaged()];
    let setup = Setup::new(&[&storages[0], &storages[1]]);
    for args in [&["download", "f"][..], &["download", "f", "-o", "-"]] {
        let output = setup.run(args);
        assert_eq!(code(&output), 7, "{}", stderr(&output));
    }
    assert_eq!(setup.dir.path().read_dir().unwrap().count(), 0);
    // Both were asked for the file, the first of them also for standard output.
    assert_eq!(storages[1].requests(), ["read"]);
}

#[test]
fn the_command_line_goes_on_at_the_next_storage() {
    let memory = memory_with(&key("f"), &content(LEN));
    let failing = failing_at(&memory, LEN, 2000);
    let next = cpp_storage(&memory, |_, _| Act::Serve);
    let setup = Setup::new(&[&failing, &next]);
    let output = setup.run(&["download", "f"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(setup.read("f").unwrap() == content(LEN));
}

#[test]
fn a_silent_tracker_costs_a_command_little() {
    let storage = FakeStorage::good(&memory_with(&key("f"), b"abc"));
    let setup = Setup::new(&[&storage]);
    let silent = silent::<TrackerRequest>();
    let trackers = format!("{};{}", silent.address, setup.tracker.fake.address);
    let commands: [&[&str]; 2] = [&["stat", "f"], &["groups"]];
    for command in [commands; 3].into_iter().flatten() {
        let began = Instant::now();
        let output = setup.run(&[&["--trackers", &trackers], command].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        // The time-out of the command line is 30 s.
        assert!(began.elapsed() < Duration::from_secs(2) + SLACK);
    }
}
