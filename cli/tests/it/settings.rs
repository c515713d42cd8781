//! Settings: command line over environment over file, and mistakes in them.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use test_peers::fake::dead_address;
use test_peers::storage::memory_with;
use test_peers::storage::{FakeStorage, Memory};
use test_peers::support::{cluster, key};

use crate::support::{code, stderr, stdout, tnv};

#[test]
fn the_command_line_is_over_the_environment_over_the_file() {
    let storage = FakeStorage::good(&memory_with(&key("f"), b"x"));
    let (tracker, _) = cluster(&[&storage]);
    let dir = TempDir::new().unwrap();
    let (good, dead) = (tracker.fake.address.to_string(), dead_address().to_string());
    let write = |trackers: &str| {
        let text = format!("trackers = [{trackers:?}]\nuser = \"alice\"\nio_timeout = \"5s\"\n");
        fs::create_dir_all(dir.path().join(".config/tnv")).unwrap();
        fs::write(dir.path().join(".config/tnv/tnv.toml"), text).unwrap();
    };
    let run = |env: Option<&str>, args: &[&str]| {
        let mut command = tnv(dir.path(), env.unwrap_or_default(), args);
        if env.is_none() {
            command.env_remove("TNV_TRACKERS");
        }
        code(&command.env_remove("TNV_USER").output().unwrap())
    };
    write(&good);
    assert_eq!(run(None, &["stat", "f"]), 0);
    assert_eq!(run(Some(&dead), &["stat", "f"]), 5);
    assert_eq!(run(Some(&dead), &["stat", "f", "--trackers", &good]), 0);
    assert_eq!(run(Some(&dead), &["--trackers", &good, "stat", "f"]), 0);
    let both = format!("{dead};{good};");
    assert_eq!(run(Some(&both), &["stat", "f"]), 0);
    assert_eq!(run(None, &["stat", "f", "--user", "bob"]), 3);
    write(&dead);
    assert_eq!(run(None, &["stat", "f"]), 5);
    assert_eq!(run(Some(&good), &["stat", "f"]), 0);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let dir = TempDir::new().unwrap();
    for (text, expected) in [
        (
            "user = \"a\"\n\ncolour = 1\n",
            "line 3: unknown field `colour`",
        ),
        (
            "io_timeout = \"30\"\n",
            "line 1, io_timeout: invalid value \"30\", expected a period",
        ),
        ("trackers = \"a:1\"\n", "line 1, trackers: invalid type"),
        ("user = \n", "line 1"),
        (
            "trackers = [\"nowhere\"]\n",
            "\"nowhere\" is no address host:port: the port is missing",
        ),
        ("app = \"a/b\"\n", "appid may hold letters and digits only"),
    ] {
        fs::write(dir.path().join("s.toml"), text).unwrap();
        let mut command = tnv(dir.path(), "", &["--config", "s.toml", "stat", "f"]);
        let output = command.env_remove("TNV_TRACKERS").output().unwrap();
        assert_eq!(code(&output), 2, "{text}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let dir = TempDir::new().unwrap();
    let dead = dead_address();
    for args in [
        &["stat", "f", "--config", "missing.toml"][..],
        &["stat", "f", "--trackers", "nowhere"],
        &["stat", "f", "--trackers", ""],
        &["stat", "f", "--app", "a/b"],
        &["stat", "f", "--timeout", "0s"],
        &["download", "a/b"],
        &["download", ".."],
        &["download", "f", "--size", "many"],
        &["download", "f", "--continue", "--offset", "1"],
        &["upload"],
        &["stat"],
        &["nonsense"],
    ] {
        let output = tnv(dir.path(), dead.as_str(), args).output().unwrap();
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{args:?}");
    }
    let mut command = tnv(dir.path(), dead.as_str(), &["stat", "f"]);
    let output = command.env_remove("TNV_USER").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no user is given: use --user"));
}

#[test]
fn help_and_version_are_for_stdout() {
    let dir = TempDir::new().unwrap();
    let output = tnv(dir.path(), "", &["--help"]).output().unwrap();
    assert_eq!(code(&output), 0);
    for expected in ["Exit codes:", "Examples:", "TNV_TRACKERS", "--json"] {
        assert!(stdout(&output).contains(expected), "{expected}");
    }
    let output = tnv(dir.path(), "", &["--version"]).output().unwrap();
    let version = format!("tnv {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((code(&output), stdout(&output)), (0, version.as_str()));
}

#[test]
fn the_sample_file_is_valid_with_every_line_in_use() {
    let sample = include_str!("../../../etc/client.toml");
    let uncommented: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let (tracker, _) = cluster(&[&storage]);
    let dir = TempDir::new().unwrap();
    let text = uncommented
        .replace("127.0.0.1:21000", tracker.fake.address.as_str())
        .replace("10.0.0.5", "127.0.0.5");
    fs::write(dir.path().join("s.toml"), text).unwrap();
    let args = ["--config", "s.toml", "stat", "f"];
    let mut command = tnv(dir.path(), "", &args);
    command.env_remove("TNV_TRACKERS").env_remove("TNV_USER");
    let output = command.output().unwrap();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
}
