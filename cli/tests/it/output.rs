//! The standard output when a command fails, and when the output itself fails.

use std::fs::File;
use std::process::{Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use test_peers::storage::{FakeStorage, Memory};
use test_peers::support::key;

use crate::support::{Setup, code, stderr, stdout};

/// Runs it with a stdout that nobody reads.
fn unread(setup: &Setup, args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = setup.command(args);
    command.stdout(writer).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// Runs it with a stdout that takes nothing.
fn full(setup: &Setup, args: &[&str]) -> Output {
    let device = File::options().write(true).open("/dev/full").unwrap();
    let mut command = setup.command(args);
    command.stdout(device).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// The id of a result in JSON on stderr.
fn id_of(line: &str) -> Option<String> {
    let object: Value = serde_json::from_str(line).ok()?;
    Some(object.get("unprinted")?.get("id")?.as_str()?.to_owned())
}

/// The ids that stderr tells of.
fn told(output: &Output) -> Vec<String> {
    let lines = stderr(output).lines();
    let told =
        lines.filter_map(
            |line| match line.strip_prefix("tnv: not printed on standard output: ") {
                Some(id) => Some(id.to_owned()),
                None => id_of(line),
            },
        );
    told.collect()
}

#[test]
fn all_work_is_done_when_nobody_reads_the_results() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    for name in ["a", "b", "c"] {
        setup.write(name, name.as_bytes());
    }
    let output = unread(&setup, &["upload", "a", "b", "c"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let ids = told(&output);
    let contents: Vec<_> = ids.iter().map(|id| memory.get(&key(id)).unwrap()).collect();
    assert_eq!(contents, [b"a", b"b", b"c"]);

    let output = unread(&setup, &["upload", "nofile", "a"]);
    assert_eq!((code(&output), told(&output).len()), (10, 1));
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let output = unread(&setup, &[&["delete", "--json"], &ids[..]].concat());
    assert_eq!((code(&output), told(&output).len()), (0, 3));
    assert!(ids.iter().all(|id| memory.get(&key(id)).is_none()));
    let output = unread(&setup, &[&["stat"], &ids[..]].concat());
    assert_eq!(code(&output), 3, "{}", stderr(&output));
}

#[test]
fn a_full_standard_output_is_a_failure_and_loses_no_id() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    setup.write("a", b"a");
    setup.write("b", b"b");
    let output = full(&setup, &["upload", "a", "b"]);
    assert_eq!(code(&output), 10, "{}", stderr(&output));
    let ids = told(&output);
    assert_eq!(ids.len(), 2, "{}", stderr(&output));
    assert!(ids.iter().all(|id| memory.get(&key(id)).is_some()));
    assert!(stderr(&output).contains("No space left on device"));
    let output = full(&setup, &["stat", &ids[0]]);
    assert_eq!(code(&output), 10);
    assert_eq!(told(&output), Vec::<String>::new());
    let output = full(&setup, &["delete", "--json", &ids[0], "none", &ids[1]]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(ids.iter().all(|id| memory.get(&key(id)).is_none()));
}

#[test]
fn of_several_files_it_is_told_which_were_stored_when_one_fails() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    setup.write("a", b"a");
    setup.write("b", b"b");
    let output = setup.run(&["upload", "a", "nofile", "b"]);
    assert_eq!(code(&output), 10);
    let ids: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(memory.get(&key(ids[1])).unwrap(), b"b");
    for line in [
        "tnv: upload nofile: No such file or directory (os error 2)".to_owned(),
        format!("tnv: stored a as {}", ids[0]),
        format!("tnv: stored b as {}", ids[1]),
    ] {
        assert!(stderr(&output).lines().any(|told| told == line), "{line}");
    }
    let output = setup.run(&["upload", "--json", "a", "nofile", "b"]);
    assert_eq!(code(&output), 10);
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let files: Vec<&str> = lines.iter().map(|l| l["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["a", "nofile", "b"]);
    assert_eq!(lines[1]["exit_code"], 10);
    assert!(lines[1]["error"].is_string() && lines[1]["id"].is_null());
    let id = lines[2]["id"].as_str().unwrap();
    assert_eq!(memory.get(&key(id)).unwrap(), b"b");
    let output = setup.run(&["stat", "--json", "none", id]);
    assert_eq!(code(&output), 3);
    let first = stdout(&output).lines().next().unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!(
        (&first["id"], &first["exit_code"]),
        (&"none".into(), &3.into())
    );
}

#[test]
fn times_have_a_zone() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let setup = Setup::new(&[&storage]);
    let output = setup
        .command(&["groups", "--json"])
        .env("TZ", "UTC")
        .output();
    let output = output.unwrap();
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    for time in ["startup_time", "join_time", "beat_time"] {
        assert_eq!(line["storages"][0][time], "2026-11-21T23:36:52Z");
    }
    let output = setup
        .command(&["groups"])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(stdout(&output).contains("last beat 2026-11-21T23:36:52Z"));
    let output = setup
        .command(&["monitor"])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(stdout(&output).contains("join time = 2026-11-21T23:36:52Z"));
}
