//! `tnv download` to what is no file to be made, and beside long names.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Stdio};

use crate::support::{Setup, code, stderr, stdout};
use proto::storage::StorageRequest;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{content, key};

const LEN: usize = 1_300_000;

#[test]
fn a_fifo_and_a_device_are_written_to_and_stay() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let setup = Setup::new(&[&storage]);
    let fifo = setup.dir.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    for args in [
        &["download", "f", "-o", "fifo"][..],
        &["download", "f", "-o", "fifo", "--force"],
    ] {
        let mut child = setup.command(args).stderr(Stdio::piped()).spawn().unwrap();
        let mut read = Vec::new();
        File::open(&fifo).unwrap().read_to_end(&mut read).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(read == content(LEN));
        assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    }
    std::os::unix::fs::symlink("/dev/null", setup.dir.path().join("null")).unwrap();
    for output in ["/dev/null", "null"] {
        let output = setup.run(&["download", "f", "-o", output, "--force"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
    let link = fs::symlink_metadata(setup.dir.path().join("null")).unwrap();
    assert!(link.is_symlink());
    let output = setup.run(&["download", "f", "-o", "/dev/null", "--continue"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

#[test]
fn open_descriptors_have_names() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let setup = Setup::new(&[&storage]);
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let output = setup.run(&["download", "f", "-o", name]);
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
        assert!(output.stdout == content(LEN), "{name}");
        // A regular file is not replaced, and what it holds stays.
        setup.write("log", b"before ");
        let mut options = OpenOptions::new();
        let log = options.append(true).open(setup.dir.path().join("log"));
        let mut command = setup.command(&["download", "f", "-o", name, "--force"]);
        assert!(command.stdout(log.unwrap()).status().unwrap().success());
        let written = setup.read("log").unwrap();
        assert!(written[..7] == *b"before " && written[7..] == content(LEN));
    }
    let output = setup.run(&["download", "f", "-o", "/dev/stderr"]);
    assert_eq!((code(&output), stdout(&output)), (0, ""));
    assert!(output.stderr == content(LEN));
}

#[test]
fn the_part_of_a_long_name_has_a_name_that_is_short_enough() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Download(range) if range.offset == 0 => Act::CutAfter(600_000),
        StorageRequest::Download(_) | StorageRequest::Read(_) => Act::Close,
        _ => Act::Serve,
    });
    let setup = Setup::new(&[&dying]);
    let names = [
        "x".repeat(255),
        "ü".repeat(127),
        format!("a{}", "用".repeat(84)),
    ];
    for name in &names {
        setup.tracker.set_storages(&[&dying.fake.address]);
        let output = setup.run(&["download", "f", "-o", name]);
        assert_eq!(code(&output), 5, "{}", stderr(&output));
        let entries = setup.dir.path().read_dir().unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        let part = names
            .iter()
            .find(|name| name.to_str().unwrap().ends_with("tnv-part"));
        let part = part.unwrap_or_else(|| panic!("no part in {names:?}"));
        assert!(part.len() <= 255);
        let good = FakeStorage::good(&memory);
        setup.tracker.set_storages(&[&good.fake.address]);
        let output = setup.run(&["download", "f", "-o", name, "--continue"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(setup.read(name).unwrap() == content(LEN));
        fs::remove_file(setup.dir.path().join(name)).unwrap();
        assert_eq!(setup.dir.path().read_dir().unwrap().count(), 0);
    }
}
