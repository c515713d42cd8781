//! `tnv list`, `tnv usage` and deletions of many files.

use std::sync::Arc;

use proto::ErrorCode;
use proto::storage::StorageRequest;
use serde_json::{Value, json};
use test_peers::cpp::cpp_storage;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{content, key};

use crate::support::{Setup, code, stderr, stdout};

/// The files `film/0` to `film/6` and `other`, of 0 to 6 and 100 bytes.
fn memory() -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    let mut files = memory.files.lock().unwrap();
    for n in 0..7 {
        files.insert(key(&format!("film/{n}")), content(n));
    }
    files.insert(key("other"), content(100));
    drop(files);
    memory
}

fn n_files(memory: &Memory) -> usize {
    memory.files.lock().unwrap().len()
}

#[test]
fn lists_are_lines_of_text_or_json() {
    let storage = FakeStorage::good(&memory());
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["list"]);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!((code(&output), stderr(&output), lines.len()), (0, "", 8));
    assert_eq!(lines[1], "film/1\t1\t2023-11-14T22:13:20Z");
    let output = setup.run(&["list", "--prefix", "o", "--json"]);
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    let expected = json!({"id": "other", "size": 100, "modified": "2023-11-14T22:13:20Z"});
    assert_eq!(line, expected);
    for nothing in [
        ["--prefix", "x"],
        ["--since", "24h"],
        ["--since", "2023-11-15"],
    ] {
        let output = setup.run(&[&["list"], &nothing[..]].concat());
        assert_eq!((code(&output), stdout(&output)), (0, ""), "{nothing:?}");
    }
    let output = setup.run(&["list", "--since", "2023-11-14"]);
    assert_eq!(stdout(&output).lines().count(), 8);
    assert_eq!(code(&setup.run(&["list", "--since", "later"])), 2);
}

#[test]
fn usage_tells_number_and_size() {
    let storage = FakeStorage::good(&memory());
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["usage"]);
    assert_eq!(stdout(&output), "alice files=8 bytes=121\n");
    let output = setup.run(&["usage", "--prefix", "film/", "--json"]);
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    let expected = json!({"app": "tnvideo", "user": "alice", "files": 7, "bytes": 21});
    assert_eq!(line, expected);
    assert_eq!(
        stdout(&setup.run(&["usage", "--user", "bob"])),
        "bob files=0 bytes=0\n"
    );
}

#[test]
fn a_list_that_breaks_off_prints_what_it_has_and_fails() {
    let storage = FakeStorage::start(&memory(), |number, _| match number {
        0 => Act::Serve,
        _ => Act::Refuse(ErrorCode::Unavailable),
    });
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["list"]);
    assert_eq!((code(&output), stdout(&output).lines().count()), (5, 3));
    assert!(
        stderr(&output).starts_with("tnv: list: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_cluster_without_lists_says_so() {
    let storage = cpp_storage(&memory(), |_, _| Act::Serve);
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["list"]);
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    let text = stderr(&output);
    assert!(text.contains("does not know LIST"), "{text}");
}

#[test]
fn many_files_are_deleted_only_on_purpose() {
    let memory = memory();
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    for wrong in [
        &["delete"][..],
        &["delete", "other", "--all-of-user"],
        &["delete", "--prefix", "film/", "--all-of-user"],
        &["delete", "--prefix", ""],
    ] {
        assert_eq!(code(&setup.run(wrong)), 2, "{wrong:?}");
    }
    // Standard input is no terminal, so nobody can be asked.
    let output = setup.run(&["delete", "--all-of-user"]);
    assert_eq!(code(&output), 2);
    let text = stderr(&output);
    assert!(
        text.contains("8 files (121 bytes) of tnvideo/alice"),
        "{text}"
    );
    assert!(text.contains("--yes"), "{text}");
    assert_eq!(n_files(&memory), 8);

    let output = setup.run(&["delete", "--prefix", "film/", "--yes"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, "deleted=7 failed=0\n")
    );
    assert_eq!(n_files(&memory), 1);
    let output = setup.run(&["delete", "--all-of-user", "--yes", "--json"]);
    assert_eq!(stdout(&output), "{\"deleted\":1,\"failed\":0}\n");
    let output = setup.run(&["delete", "--all-of-user"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, "deleted=0 failed=0\n")
    );
}

#[test]
fn what_cannot_be_deleted_is_told_and_another_run_goes_on() {
    let memory = memory();
    let failing = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Delete(key) if key.file.as_str() == "film/3" => {
            Act::RefuseLate(ErrorCode::Damaged)
        }
        _ => Act::Serve,
    });
    let setup = Setup::new(&[&failing]);
    let output = setup.run(&["delete", "--all-of-user", "--yes"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (7, "deleted=7 failed=1\n")
    );
    let text = stderr(&output);
    assert!(text.starts_with("tnv: delete film/3: "), "{text}");
    let good = FakeStorage::good(&memory);
    let setup = Setup::new(&[&good]);
    let output = setup.run(&["delete", "--all-of-user", "--yes"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, "deleted=1 failed=0\n")
    );
}

#[test]
fn a_deletion_ends_when_nothing_can_be_deleted() {
    let memory = memory();
    let mut files = memory.files.lock().unwrap();
    for n in 0..300 {
        files.insert(key(&format!("more{n}")), content(1));
    }
    drop(files);
    let storage = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Delete(_) => Act::RefuseLate(ErrorCode::ReadOnly),
        _ => Act::Serve,
    });
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["delete", "--all-of-user", "--yes"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (6, "deleted=0 failed=128\n")
    );
    assert!(
        stderr(&output).contains("run this again"),
        "{}",
        stderr(&output)
    );
}
