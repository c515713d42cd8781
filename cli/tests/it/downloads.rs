//! `tnv download`: files that appear whole or not at all.

use std::process::Stdio;

use proto::ErrorCode;
use proto::storage::StorageRequest;
use serde_json::Value;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{content, key};
use test_support::until;
use xxhash_rust::xxh3::xxh3_64;

use crate::support::{Setup, code, stderr, stdout};

const LEN: usize = 1_300_000;

/// The name of the partial file that an interrupted download of `id` leaves.
fn part(id: &str) -> String {
    part_of(id, id)
}

fn part_of(name: &str, id: &str) -> String {
    let hash = xxh3_64(key(id).to_string().as_bytes());
    format!(".{name}.{hash:016x}.tnv-part")
}

#[test]
fn a_download_appears_whole_under_its_name() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["download", "f"]);
    assert_eq!(
        (code(&output), stdout(&output), stderr(&output)),
        (0, "", "")
    );
    assert_eq!(setup.read("f").unwrap(), content(LEN));

    setup.write("f", b"precious");
    let output = setup.run(&["download", "f"]);
    assert_eq!(code(&output), 10);
    assert_eq!(setup.read("f").unwrap(), b"precious");
    let output = setup.run(&["download", "f", "--force", "--json"]);
    let line: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(
        (&line["size"], &line["verified"]),
        (&LEN.into(), &true.into())
    );
    assert_eq!(setup.read("f").unwrap(), content(LEN));
    assert_eq!(
        setup.dir.path().read_dir().unwrap().count(),
        1,
        "no part is left"
    );
}

#[test]
fn ranges_and_standard_output() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["download", "f", "-o", "-"]);
    assert_eq!((code(&output), output.stdout), (0, content(LEN)));
    let args = ["download", "f", "--offset", "1KiB", "--size", "2KiB", "-o"];
    let output = setup.run(&[&args[..], &["-"]].concat());
    assert_eq!(
        (code(&output), &output.stdout[..]),
        (0, &content(LEN)[1024..3072])
    );
    assert_eq!(code(&setup.run(&[&args[..], &["part"]].concat())), 0);
    assert_eq!(setup.read("part").unwrap(), content(LEN)[1024..3072]);
    let output = setup.run(&["download", "f", "--offset", "2GB", "-o", "-"]);
    assert_eq!((code(&output), stdout(&output)), (2, ""));
}

#[test]
fn a_closed_standard_output_is_no_error() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let setup = Setup::new(&[&storage]);
    let mut child = setup
        .command(&["download", "f", "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (0, ""));
}

#[test]
fn an_interrupted_download_is_continued() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(read) if read.range.offset == 0 => Act::CutAfter(600_000),
        StorageRequest::Read(_) => Act::Close,
        _ => Act::Serve,
    });
    let setup = Setup::new(&[&dying]);
    let output = setup.run(&["download", "f"]);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert_eq!(setup.read("f"), None);
    assert_eq!(setup.read(&part("f")).unwrap(), content(LEN)[..600_000]);

    let good = FakeStorage::start(&memory, |_, request| {
        if let StorageRequest::Read(read) = request {
            assert_eq!(read.range.offset, 600_000);
        }
        Act::Serve
    });
    setup.tracker.set_storages(&[&good.fake.address]);
    let output = setup.run(&["download", "f", "--continue"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(setup.read("f").unwrap(), content(LEN));
    assert_eq!(setup.read(&part("f")), None);
    assert_eq!(
        code(&setup.run(&["download", "f", "--continue", "-o", "-"])),
        2
    );
}

#[test]
fn a_killed_download_leaves_nothing_under_its_name() {
    let memory = memory_with(&key("f"), &content(LEN));
    let slow = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(_) => Act::StallAfter(5000),
        _ => Act::Serve,
    });
    let setup = Setup::new(&[&slow]);
    let mut child = setup.command(&["download", "f"]).spawn().unwrap();
    until("content arrives", || {
        let part = setup.read(&part("f"));
        part.is_some_and(|part| part.len() >= 5000)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(setup.read("f"), None);
    slow.stop();
}

#[test]
fn a_part_of_other_content_is_not_gone_on_with() {
    let memory = memory_with(&key("f"), &content(LEN));
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    // What --continue finds is not of this file.
    setup.write(&part("f"), b"something else");
    let output = setup.run(&["download", "f", "--continue"]);
    // It is downloaded anew.
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(setup.read("f").unwrap(), content(LEN));
    assert_eq!(setup.read(&part("f")), None);
}

#[test]
fn a_part_is_not_gone_on_with_for_another_file_or_range() {
    let memory = memory_with(&key("f"), &content(LEN));
    let mut files = memory.files.lock().unwrap();
    files.insert(key("g"), vec![7; LEN]);
    drop(files);
    let dying = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(read) if read.range.offset <= 1000 => Act::CutAfter(600_000),
        StorageRequest::Read(_) => Act::Close,
        _ => Act::Serve,
    });
    let setup = Setup::new(&[&dying]);
    assert_eq!(code(&setup.run(&["download", "g", "-o", "film"])), 5);
    assert_eq!(setup.read(&part_of("film", "g")).unwrap(), [7; 600_000]);
    let range = ["download", "f", "-o", "film", "--offset", "1000"];
    assert_eq!(code(&setup.run(&range)), 5);
    let left = setup.dir.path().read_dir().unwrap().count();
    assert_eq!(left, 1, "a range leaves nothing");

    // It asks from byte 0 on, though a C++ storage could not tell it that the content is wrong.
    let good = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Stat(_) => Act::RefuseAndClose(ErrorCode::Unknown),
        _ => Act::Serve,
    });
    setup.tracker.set_storages(&[&good.fake.address]);
    let output = setup.run(&["download", "f", "-o", "film", "--continue"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(setup.read("film").unwrap(), content(LEN));
}
