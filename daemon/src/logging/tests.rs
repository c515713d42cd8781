use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::TimeZone;
use log::{Level, Log as _};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn config(folder: &Path) -> LogConfig {
    LogConfig {
        file: Some(folder.join("main.log").into()),
        access_file: Some(folder.join("access.log").into()),
        ..LogConfig::default()
    }
}

fn send(router: &Log, level: Level, target: &str, text: &str) {
    router.log(
        &Record::builder()
            .level(level)
            .target(target)
            .args(format_args!("{text}"))
            .build(),
    );
}

/// The lines of a file without their times.
fn lines(log: &Log, path: &Path) -> Vec<String> {
    log.flush();
    let text = fs::read_to_string(path).unwrap();
    let time_len = "2026-11-21T20:41:42.123Z ".len();
    text.lines()
        .map(|line| line[time_len..].to_owned())
        .collect()
}

/// Access lines stand as they were written: each protocol has a form of its own.
fn access_lines(log: &Log, folder: &Path) -> Vec<String> {
    log.flush();
    let text = fs::read_to_string(folder.join("access.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_line_has_time_level_target_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(&config(folder.path()), None).unwrap();
    let now = Utc.timestamp_millis_opt(1_795_293_702_123).unwrap();
    log.outputs.read().main.as_ref().unwrap().write(
        now,
        &Record::builder()
            .level(Level::Info)
            .target("tracker")
            .args(format_args!("a\nb"))
            .build(),
    );
    log.flush();
    let text = fs::read_to_string(folder.path().join("main.log")).unwrap();
    assert_eq!(text, "2026-11-21T20:41:42.123Z INFO  tracker: a\\nb\n");
}

#[test]
fn the_access_log_is_on_by_default_beside_the_main_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogConfig {
        access_file: None,
        ..config(folder.path())
    };
    let log = Log::open(&config, None).unwrap();
    send(&log, Level::Info, ACCESS_TARGET, "seen");
    log.flush();
    let text = fs::read_to_string(folder.path().join("main-access.log")).unwrap();
    assert_eq!(text, "seen\n");
    assert!(lines(&log, &folder.path().join("main.log")).is_empty());
    assert_eq!(
        LogConfig::default().access_target(),
        None,
        "the standard error"
    );
}

#[test]
fn access_records_go_to_their_own_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config, None).unwrap();
    send(&log, Level::Info, "tracker", "serving");
    send(&log, Level::Debug, "tracker", "too quiet");
    send(&log, Level::Info, ACCESS_TARGET, "10.0.0.1 LIST\r ok");
    assert_eq!(
        lines(&log, &folder.path().join("main.log")),
        ["INFO  tracker: serving"]
    );
    assert_eq!(access_lines(&log, folder.path()), ["10.0.0.1 LIST\\r ok"]);
}

#[test]
fn an_access_log_that_is_off_drops_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogConfig {
        access_file: Some(LogTarget::Off),
        ..config(folder.path())
    };
    let log = Log::open(&config, None).unwrap();
    send(&log, Level::Error, ACCESS_TARGET, "lost");
    assert!(lines(&log, &folder.path().join("main.log")).is_empty());
    let access = Metadata::builder().target(ACCESS_TARGET).build();
    assert!(!log.enabled(&access));
}

#[test]
fn the_environment_overrides_the_level_but_not_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = |filters: Option<&str>| Log::open(&config, filters.map(str::to_owned)).unwrap();
    assert_eq!(log(None).max_level(), LevelFilter::Info);
    assert_eq!(log(Some("debug")).max_level(), LevelFilter::Debug);
    let quiet = log(Some("error"));
    assert_eq!(quiet.max_level(), LevelFilter::Info);
    send(&quiet, Level::Info, "tracker", "hidden");
    send(&quiet, Level::Info, ACCESS_TARGET, "shown");
    assert!(lines(&quiet, &folder.path().join("main.log")).is_empty());
    assert_eq!(access_lines(&quiet, folder.path()), ["shown"]);
}

#[test]
fn reopening_follows_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config, None).unwrap();
    let (path, moved) = (folder.path().join("main.log"), folder.path().join("main.1"));
    send(&log, Level::Warn, "t", "one");
    log.flush();
    fs::rename(&path, &moved).unwrap();
    send(&log, Level::Warn, "t", "two");
    log.reopen();
    log.flush();
    send(&log, Level::Warn, "t", "three");
    assert_eq!(lines(&log, &moved), ["WARN  t: one", "WARN  t: two"]);
    assert_eq!(lines(&log, &path), ["WARN  t: three"]);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
}

#[test]
fn access_lines_go_to_the_file_of_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config, None).unwrap();
    let path = folder.path().join("access.log");
    let (moved, elsewhere) = (folder.path().join("moved"), folder.path().join("elsewhere"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    send(&log, Level::Info, ACCESS_TARGET, "one");
    fs::rename(&path, &moved).unwrap();
    send(&log, Level::Info, ACCESS_TARGET, "two");
    log.reopen();
    log.flush();
    assert_eq!(read(&moved), "one\ntwo\n");
    send(&log, Level::Info, ACCESS_TARGET, "three");
    let new = LogConfig {
        access_file: Some(elsewhere.clone().into()),
        ..config
    };
    log.change_to(log.prepare(&new).unwrap());
    assert_eq!(read(&path), "three\n");
    send(&log, Level::Info, ACCESS_TARGET, "four");
    log.flush();
    assert_eq!(read(&elsewhere), "four\n");
}

#[test]
fn a_file_that_cannot_be_reopened_stays_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let config = config(&gone);
    let log = Log::open(&config, None).unwrap();
    let kept = folder.path().join("kept");
    fs::rename(&gone, &kept).unwrap();
    log.reopen();
    log.flush();
    send(&log, Level::Warn, "t", "still here");
    assert_eq!(lines(&log, &kept.join("main.log")), ["WARN  t: still here"]);
}

#[test]
fn the_log_changes_where_it_writes_and_what() {
    let folder = tempfile::tempdir().unwrap();
    let old = config(folder.path());
    let log = Log::open(&old, None).unwrap();
    send(&log, Level::Debug, "t", "too quiet");
    let new = LogConfig {
        level: super::Level::Debug,
        file: Some(folder.path().join("new.log").into()),
        ..old.clone()
    };
    log.change_to(log.prepare(&new).unwrap());
    send(&log, Level::Debug, "t", "loud enough");
    assert!(lines(&log, &folder.path().join("main.log")).is_empty());
    assert_eq!(
        lines(&log, &folder.path().join("new.log")),
        ["DEBUG t: loud enough"]
    );
    let unusable = LogConfig {
        file: Some("/nonexistent/main.log".into()),
        ..old
    };
    assert!(log.prepare(&unusable).is_err());
}

#[test]
fn a_full_disk_loses_lines_only() {
    let config = LogConfig {
        file: Some("/dev/full".into()),
        access_file: Some("/dev/full".into()),
        ..LogConfig::default()
    };
    let log = Log::open(&config, None).unwrap();
    for target in ["t", ACCESS_TARGET, "t"] {
        send(&log, Level::Error, target, "lost");
    }
    assert!(!log.is_stderr());
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let config = LogConfig {
        file: Some("/nonexistent/main.log".into()),
        ..LogConfig::default()
    };
    let error = Log::open(&config, None).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/main.log"));
}

/// A log whose main file is a pipe, and the pipe's other end.
fn piped(folder: &Path) -> (Log, fs::File) {
    let path = folder.join("main.log");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let pipe = fs::OpenOptions::new().read(true).write(true).open(&path);
    (Log::open(&config(folder), None).unwrap(), pipe.unwrap())
}

#[test]
fn a_log_that_stands_still_holds_nobody_up_and_tells_what_it_missed() {
    const N_LINES: usize = 40_000;
    let folder = tempfile::tempdir().unwrap();
    let (log, pipe) = piped(folder.path());
    let text = "x".repeat(1000);
    // Far more than is kept: without a writer of its own the log would wait for ever.
    for _ in 0..N_LINES {
        send(&log, Level::Warn, "t", &text);
    }
    log.reopen();
    log.flush();
    let mut lines = BufReader::new(pipe).lines();
    let (mut written, mut told) = (0, None);
    // In the end each line has come, or was counted and told of.
    while told.is_none_or(|lost| written + lost < N_LINES) {
        let line = lines.next().unwrap().unwrap();
        if let Some((before, _)) =
            line.split_once(" lines of this log are lost: its disk was too slow")
        {
            let lost: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(line.contains(" WARN  daemon::logging"), "{line}");
            told = Some(told.unwrap_or(0) + lost);
        } else {
            assert!(line.ends_with(&text));
            written += 1;
        }
    }
    assert_eq!(Some(log.lost().get() as usize), told);
    assert_eq!(written + told.unwrap(), N_LINES);
}

#[test]
fn lost_lines_are_counted() {
    let full = LogConfig {
        file: Some("/dev/full".into()),
        access_file: Some("/dev/full".into()),
        ..LogConfig::default()
    };
    let log = Log::open(&full, None).unwrap();
    for target in ["t", ACCESS_TARGET, "t"] {
        send(&log, Level::Error, target, "lost");
    }
    log.flush();
    assert_eq!(log.lost().get(), 3);
}
