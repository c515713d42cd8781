//! Files without rows and rows without files, listed beside a storage that serves.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use storage::Config;

use super::support::{Node, make_fifo};

/// The listed lines, sorted, and the exit code.
fn list(config: &Config) -> anyhow::Result<(Vec<String>, ExitCode)> {
    let mut jobs = Config::jobs().into_iter();
    let job = jobs.find(|job| job.flag.name == "list-orphans").unwrap();
    let mut out = Vec::new();
    let code = (job.work)(config, &mut out)?;
    let text = String::from_utf8(out).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Ok((lines, code))
}

fn make(path: &Path, age: Duration) {
    let file = File::create(path).unwrap();
    let modified = SystemTime::now() - age;
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
}

#[test]
fn orphans_of_both_kinds_are_listed_and_nothing_else() {
    let node = Node::start();
    let mut client = node.client();
    for file in ["whole", "lost", "deleting", "other", "cpp", "short", "fifo"] {
        client.upload(file, b"content").unwrap();
    }
    let (none, code) = list(&node.config).unwrap();
    assert!(none.is_empty(), "{none:?}");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));

    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let path_of = |file: &str| -> String {
        let sql = "SELECT file_path FROM t_file_02 WHERE id = ?1";
        connection.query_row(sql, [file], |row| row.get(0)).unwrap()
    };
    for file in ["lost", "deleting", "other", "cpp"] {
        fs::remove_file(path_of(file)).unwrap();
    }
    for sql in [
        "UPDATE t_file_02 SET status = 1 WHERE id = 'deleting'",
        "UPDATE t_file_02 SET group_name = 'group002' WHERE id = 'other'",
        "UPDATE t_file_02 SET group_name = NULL WHERE id = 'cpp'",
    ] {
        assert_eq!(connection.execute(sql, ()).unwrap(), 1);
    }
    let short = path_of("short");
    let file = File::options().write(true).open(&short).unwrap();
    file.set_len(3).unwrap();
    let fifo = path_of("fifo");
    fs::remove_file(&fifo).unwrap();
    make_fifo(Path::new(&fifo));
    let root = Path::new(&node.config.store_paths[0]);
    let folder = root.join("000/000/000");
    let old = Duration::from_secs(7200);
    make(&folder.join("5F9E3FA7_1FF"), old);
    make(&folder.join("5F9E3FA8_1FF"), Duration::ZERO);
    make(&folder.join(".5F9E3FA7_000.0123456789abcdef"), old);
    make(&root.join("notes"), old);

    let (listed, code) = list(&node.config).unwrap();
    let (lost, cpp) = (path_of("lost"), path_of("cpp"));
    let mut expected = vec![
        format!("file\t{}", folder.join("5F9E3FA7_1FF").display()),
        format!("row\t{lost}\ttnvideo/tnv001/lost"),
        format!("row\t{cpp}\ttnvideo/tnv001/cpp"),
        format!("damaged\t{short}\ttnvideo/tnv001/short\tit has 3 bytes, not 7"),
        format!("damaged\t{fifo}\ttnvideo/tnv001/fifo\tit is a FIFO, no regular file"),
    ];
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(4)));
    assert_eq!(client.download("whole", 0, 0).unwrap(), b"content");
}

#[test]
fn what_is_not_there_is_an_error_and_not_made() {
    let node = Node::start();
    let folder = node.folder.path();
    let mut elsewhere = node.config.clone();
    elsewhere.database = format!("sqlite:{}/none.db", folder.display())
        .parse()
        .unwrap();
    let error = format!("{:#}", list(&elsewhere).unwrap_err());
    assert!(error.contains("none.db"), "{error}");
    let mut elsewhere = node.config.clone();
    elsewhere.store_paths = vec![format!("{}/none", folder.display())];
    let error = format!("{:#}", list(&elsewhere).unwrap_err());
    assert!(error.contains("no such folder"), "{error}");
    assert!(!folder.join("none.db").exists() && !folder.join("none").exists());
    // A volume that is away has not lost its files.
    let mut unmounted = node.config.clone();
    unmounted.require_marker = true;
    let error = format!("{:#}", list(&unmounted).unwrap_err());
    assert!(error.contains("has no marker"), "{error}");
}
