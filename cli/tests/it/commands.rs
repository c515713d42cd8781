//! The real binary: exit codes, and what goes to stdout.

use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use client::checksum_of;
use proto::ErrorCode;
use proto::storage::StorageRequest;
use serde_json::Value;
use tempfile::TempDir;
use test_peers::fake::dead_address;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{content, key};

use crate::support::{Setup, code, stderr, stdout, tnv};

const LEN: usize = 1_300_000;

#[test]
fn uploads_print_the_ids_and_nothing_else() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    setup.write("a", &content(LEN));
    setup.write("b", b"");
    let output = setup.run(&["upload", "a", "b"]);
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let ids: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(memory.get(&key(ids[0])).unwrap(), content(LEN));
    assert_eq!(memory.get(&key(ids[1])).unwrap(), b"");

    let output = setup.run(&["upload", "b", "--id", "mine"]);
    assert_eq!((code(&output), stdout(&output)), (0, "mine\n"));
    let output = setup.run(&["upload", "b", "--id", "mine"]);
    assert_eq!((code(&output), stdout(&output)), (4, ""));
    assert_eq!(code(&setup.run(&["upload", "a", "b", "--id", "mine"])), 2);
}

#[test]
fn a_file_that_is_written_to_meanwhile_is_not_stored() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    setup.write("film", &vec![0; 64 * LEN]);
    let path = setup.dir.path().join("film");
    let output = std::thread::scope(|scope| {
        // Dropping the sender ends the writer, also when a check here fails.
        let (running, ended) = crossbeam_channel::bounded::<()>(0);
        scope.spawn(move || {
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            while ended.try_recv() != Err(crossbeam_channel::TryRecvError::Disconnected) {
                file.write_all(b"in place").unwrap();
                file.rewind().unwrap();
            }
        });
        let output = setup.run(&["upload", "film"]);
        drop(running);
        output
    });
    assert_eq!((code(&output), stdout(&output)), (10, ""));
    assert!(
        stderr(&output).contains("changed while it was uploaded"),
        "{}",
        stderr(&output)
    );
    assert!(memory.files.lock().unwrap().is_empty());
}

#[test]
fn the_first_failure_of_several_decides() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    setup.write("a", b"a");
    let output = setup.run(&["upload", "missing", ".", "a"]);
    assert_eq!(code(&output), 10);
    assert_eq!(stdout(&output).lines().count(), 1);
    let lines: Vec<&str> = stderr(&output).lines().collect();
    assert!(
        lines[0].starts_with("tnv: upload missing: No such file"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("tnv: upload .: it is a directory"),
        "{lines:?}"
    );
}

#[test]
fn standard_input_is_uploaded() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    let mut child = setup
        .command(&["upload", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&content(LEN))
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&line["file"], &line["size"]), (&"-".into(), &LEN.into()));
    let checksum = checksum_of(&mut content(LEN).as_slice()).unwrap();
    assert_eq!(line["checksum"], format!("{checksum:032x}"));
    let id = line["id"].as_str().unwrap();
    assert_eq!(memory.get(&key(id)).unwrap(), content(LEN));
}

#[test]
fn standard_input_is_spooled_where_the_environment_says() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let setup = Setup::new(&[&storage]);
    let missing = setup.dir.path().join("missing");
    let upload = |folder: &Path| {
        let mut command = setup.command(&["upload", "-"]);
        command.env("TMPDIR", folder).output().unwrap()
    };
    let output = upload(&missing);
    assert_eq!(code(&output), 10);
    let text = stderr(&output);
    assert!(text.contains(missing.to_str().unwrap()), "{text}");
    assert_eq!(code(&upload(setup.dir.path())), 0);
    assert_eq!(code(&upload(Path::new(""))), 0, "/var/tmp");
}

#[test]
fn exit_codes_tell_the_kinds_apart() {
    let memory = Arc::new(Memory::default());
    for (refusal, exit) in [
        (ErrorCode::Unknown, 1),
        (ErrorCode::BadRequest, 2),
        (ErrorCode::NotFound, 3),
        (ErrorCode::Unavailable, 5),
        (ErrorCode::Busy, 5),
        (ErrorCode::NoSpace, 6),
        (ErrorCode::ReadOnly, 6),
        (ErrorCode::Damaged, 7),
        (ErrorCode::Forbidden, 9),
    ] {
        let storage = FakeStorage::start(&memory, move |_, _| Act::Refuse(refusal));
        let setup = Setup::new(&[&storage]);
        let output = setup.run(&["stat", "f"]);
        assert_eq!((code(&output), stdout(&output)), (exit, ""), "{refusal}");
        let text = stderr(&output);
        assert!(text.starts_with("tnv: stat f: ") && text.contains("refused by the script"));
        assert_eq!(text.lines().count(), 1);
    }
    let dir = TempDir::new().unwrap();
    let dead = dead_address();
    let output = tnv(dir.path(), dead.as_str(), &["stat", "f"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 5);
    assert!(stderr(&output).contains("Connection refused"));
}

#[test]
fn an_unknown_outcome_has_its_code() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Upload(_) | StorageRequest::Store(_) => Act::ServeAndClose,
        _ => Act::RefuseLate(ErrorCode::Busy),
    });
    let setup = Setup::new(&[&storage]);
    setup.write("a", b"a");
    let output = setup.run(&["upload", "a", "--id", "mine"]);
    assert_eq!((code(&output), stdout(&output)), (8, ""));
    assert!(
        stderr(&output).contains("alice/mine"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn stat_delete_and_groups() {
    let memory = memory_with(&key("f"), &content(1000));
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["stat", "f", "g"]);
    let checksum = format!(
        "{:032x}",
        checksum_of(&mut content(1000).as_slice()).unwrap()
    );
    let line = format!("f size=1000 modified=2023-11-14T22:13:20Z checksum={checksum}\n");
    assert_eq!((code(&output), stdout(&output)), (3, line.as_str()));
    let output = setup.run(&["--json", "stat", "f"]);
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(
        (&line["id"], &line["checksum"]),
        (&"f".into(), &checksum.into())
    );

    let output = setup.run(&["--json", "groups"]);
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(line["group"], "group001");
    assert_eq!(
        line["storages"][0]["address"],
        storage.fake.address.as_str()
    );
    assert!(stdout(&setup.run(&["groups"])).contains("ACTIVE"));

    let output = setup.run(&["delete", "f"]);
    assert_eq!((code(&output), stdout(&output)), (0, ""));
    assert_eq!(code(&setup.run(&["delete", "f"])), 3);
    assert_eq!(memory.get(&key("f")), None);
}
