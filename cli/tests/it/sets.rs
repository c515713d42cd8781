//! `tnv upload --as` and `tnv download --prefix`.

use std::fs;
use std::sync::Arc;

use proto::ErrorCode;
use proto::storage::StorageRequest;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{content, key};

use crate::support::{Setup, code, stderr, stdout};

/// A folder `set` with a playlist and two segments, one of them in a folder.
fn write_set(setup: &Setup) {
    fs::create_dir_all(setup.dir.path().join("set/low")).unwrap();
    for (name, len) in [("index.m3u8", 10), ("1.ts", 20), ("low/1.ts", 30)] {
        setup.write(&format!("set/{name}"), &content(len));
    }
}

fn stored(memory: &Memory, id: &str) -> Option<Vec<u8>> {
    memory.files.lock().unwrap().get(&key(id)).cloned()
}

#[test]
fn a_folder_is_stored_as_a_set_and_a_second_run_sends_nothing() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    write_set(&setup);
    // With and without the slash, which a shell may add.
    for (prefix, expected) in [
        ("film", "stored=3 present=0 failed=0\n"),
        ("film/", "stored=0 present=3 failed=0\n"),
    ] {
        let output = setup.run(&["upload", "--as", prefix, "set"]);
        assert_eq!(
            (code(&output), stdout(&output)),
            (0, expected),
            "{}",
            stderr(&output)
        );
    }
    for (id, len) in [
        ("film/index.m3u8", 10),
        ("film/1.ts", 20),
        ("film/low/1.ts", 30),
    ] {
        assert_eq!(stored(&memory, id), Some(content(len)), "{id}");
    }
    let uploads = storage
        .requests()
        .into_iter()
        .filter(|name| *name == "upload");
    assert_eq!(uploads.count(), 3);
    let output = setup.run(&["upload", "--json", "--as", "other", "set/1.ts", "set/low"]);
    let expected = "{\"stored\":1,\"present\":0,\"failed\":1}\n";
    assert!(stdout(&output).ends_with(expected), "{}", stdout(&output));
    assert!(stored(&memory, "other/1.ts").is_some());
}

#[test]
fn a_set_that_fails_in_part_tells_what_and_is_completed_by_a_second_run() {
    let memory = Arc::new(Memory::default());
    let is_of_folder = |request: &StorageRequest| matches!(request, StorageRequest::Upload(upload) if upload.key.file.as_str().contains("low"));
    let full = FakeStorage::start(&memory, move |_, request| match is_of_folder(request) {
        true => Act::RefuseLate(ErrorCode::NoSpace),
        false => Act::Serve,
    });
    let setup = Setup::new(&[&full]);
    write_set(&setup);
    std::os::unix::fs::symlink("nothing", setup.dir.path().join("set/dangling")).unwrap();
    let output = setup.run(&["upload", "--as", "film/", "set"]);
    assert_eq!(stdout(&output), "stored=2 present=0 failed=2\n");
    let errors = stderr(&output);
    assert!(errors.contains("upload set/low/1.ts: "), "{errors}");
    assert!(errors.contains("upload set/dangling: "), "{errors}");
    fs::remove_file(setup.dir.path().join("set/dangling")).unwrap();
    let output = setup.run(&["upload", "--as", "film/", "set"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (6, "stored=0 present=2 failed=1\n")
    );

    let storage = FakeStorage::good(&memory);
    let good = Setup::new(&[&storage]);
    write_set(&good);
    let output = good.run(&["upload", "--as", "film/", "set"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, "stored=1 present=2 failed=0\n")
    );
    // A file with other content is no part of the set.
    good.write("set/1.ts", &content(21));
    let output = good.run(&["upload", "--as", "film/", "set"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (4, "stored=0 present=2 failed=1\n")
    );
    assert!(
        stderr(&output).contains("other content"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stored(&memory, "film/1.ts"), Some(content(20)));
}

#[test]
fn a_set_is_read_into_a_folder_and_a_second_run_reads_nothing() {
    let memory = Arc::new(Memory::default());
    for (id, len) in [
        ("film/index.m3u8", 10),
        ("film/low/1.ts", 30),
        ("other", 40),
    ] {
        memory.files.lock().unwrap().insert(key(id), content(len));
    }
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    let download = |prefix: &str| setup.run(&["download", "--prefix", prefix, "-o", "copy"]);
    for expected in [
        "downloaded=2 present=0 failed=0\n",
        "downloaded=0 present=2 failed=0\n",
    ] {
        let output = download("film/");
        assert_eq!(
            (code(&output), stdout(&output)),
            (0, expected),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(setup.read("copy/index.m3u8"), Some(content(10)));
    assert_eq!(setup.read("copy/low/1.ts"), Some(content(30)));
    assert_eq!(setup.read("copy/other"), None);
    // The prefix ends within a name: the name stays.
    let output = download("film/lo");
    assert_eq!(stdout(&output), "downloaded=0 present=1 failed=0\n");
    setup.write("copy/index.m3u8", b"mine");
    let output = download("film/");
    assert_eq!(
        (code(&output), stdout(&output)),
        (10, "downloaded=0 present=1 failed=1\n")
    );
    assert_eq!(setup.read("copy/index.m3u8"), Some(b"mine".to_vec()));
    let output = setup.run(&["download", "--prefix", "film/", "-o", "copy", "--force"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, "downloaded=1 present=1 failed=0\n")
    );
    assert_eq!(setup.read("copy/index.m3u8"), Some(content(10)));
}

#[test]
fn no_id_of_a_set_leads_out_of_the_folder() {
    let memory = Arc::new(Memory::default());
    for id in ["film/../../up", "film//etc/up", "film/./up", "film/good"] {
        memory.files.lock().unwrap().insert(key(id), content(10));
    }
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    fs::create_dir(setup.dir.path().join("in")).unwrap();
    let output = setup.run(&["download", "--prefix", "film/", "-o", "in/copy"]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (10, "downloaded=1 present=0 failed=3\n")
    );
    let names = |folder: &str| fs::read_dir(setup.dir.path().join(folder)).unwrap().count();
    assert_eq!((names("."), names("in"), names("in/copy")), (1, 1, 1));
}

#[test]
fn options_that_make_no_sense_for_sets_are_refused() {
    let storage = FakeStorage::good(&Arc::default());
    let setup = Setup::new(&[&storage]);
    write_set(&setup);
    for args in [
        &["upload", "--as", "film", "-"][..],
        &["upload", "--as", "", "set"],
        &["upload", "--as", "film", "--id", "x", "set/1.ts"],
        &["download", "--prefix", "film/"],
        &["download", "--prefix", "film/", "-o", "-"],
        &["download", "--prefix", "film/", "-o", "copy", "--size", "1"],
        &["download", "x", "--prefix", "film/", "-o", "copy"],
        &["download"],
    ] {
        let output = setup.run(args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
    }
    let output = setup.run(&["upload", "set"]);
    assert!(
        stderr(&output).contains("--as PREFIX"),
        "{}",
        stderr(&output)
    );
}
