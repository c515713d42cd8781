//! `tnv bench` counts its operations, removes its files, and detects wrong bytes and failures.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::Output;

use bench::Figures;
use test_cluster::Role;

use crate::support::Fixture;

/// Runs `tnv bench --json`; returns its exit code and figures.
fn bench(fixture: &Fixture, args: &[&str]) -> (i32, Figures) {
    let all = [&["--json", "bench", "--warm-up", "0s"], args].concat();
    let output = fixture.tnv().run(all).unwrap();
    let (code, lines) = (output.status.code().unwrap(), lines(&output));
    assert_eq!(lines.len(), 3, "{lines:?} {output:?}");
    assert_eq!(lines[0], r#"{"event":"begun"}"#);
    assert_eq!(lines[1], r#"{"event":"ended"}"#);
    (code, serde_json::from_str(&lines[2]).unwrap())
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_operation_is_done_and_nothing_is_left() {
    let fixture = Fixture::small(2);
    let http = format!("http://{}", fixture.cluster.addresses(Role::Httpd)[0]);
    let idserver = fixture.cluster.addresses(Role::Idserver)[0].to_string();
    let mix = "upload,download,range,stat,list,delete,saddrs,id,http,http-range,http-seek";
    let (code, figures) = bench(
        &fixture,
        &[
            "--threads=4",
            "--size=0,1,100KB,1MiB",
            "--count=2000",
            "--files=8",
            "--range=70KB",
            "--http",
            &http,
            "--idservers",
            &idserver,
            "--mix",
            mix,
        ],
    );
    assert_eq!(code, 0, "{figures:?}");
    assert!(figures.errors.is_empty(), "{figures:?}");
    let counted: u64 = figures.operations.iter().map(|one| one.count).sum();
    assert_eq!(counted, 2000);
    for name in mix.split(',') {
        assert!(figures.operation(name).is_some(), "{name}: {figures:?}");
    }
    assert_eq!(fixture.n_rows(), 0);
    assert_eq!(fixture.stored(), (vec![], vec![]));
}

#[test]
fn files_are_kept_for_later_runs_which_detect_a_wrong_byte() {
    let fixture = Fixture::small(1);
    let list = fixture.folder_path("list.json");
    let list = list.to_str().unwrap();
    let keep = [
        "--size=300KB",
        "--count=3",
        "--mix=download",
        "--threads=1",
        "--keep",
        list,
    ];
    assert_eq!(bench(&fixture, &keep).0, 0);
    let read = ["--mix=download", "--count=20", "--threads=2", "--use", list];
    let (code, figures) = bench(&fixture, &read);
    assert_eq!(
        (code, figures.operation("download").unwrap().count),
        (0, 20)
    );

    let (files, _) = fixture.stored();
    let [path] = &files[..] else {
        panic!("one file is stored: {files:?}");
    };
    let byte = fs::read(path).unwrap()[200_000];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[byte ^ 1], 200_000).unwrap();
    let (code, figures) = bench(&fixture, &read);
    // The comparison sees the wrong byte, or the library withholds the end of the damaged file.
    let kinds = ["wrong bytes", "damaged"].into_iter();
    let n_wrong: u64 = kinds
        .filter_map(|kind| figures.errors.get(kind))
        .map(|errors| errors.count)
        .sum();
    assert_eq!((code, n_wrong), (7, 20), "{figures:?}");
    assert!(figures.operation("download").is_none(), "{figures:?}");
}

#[test]
fn failures_are_counted_by_kind_and_end_it() {
    let mut fixture = Fixture::small(1);
    let list = fixture.folder_path("list.json");
    let list = list.to_str().unwrap();
    let keep = [
        "--size=1KB",
        "--count=1",
        "--mix=stat",
        "--threads=1",
        "--keep",
        list,
    ];
    assert_eq!(bench(&fixture, &keep).0, 0);
    let node = fixture.cluster.node("storage-1-1");
    fixture.cluster.kill(&node).unwrap();
    // More operations than are done: threads give up when none succeeds.
    let (code, figures) = bench(
        &fixture,
        &[
            "--mix=stat",
            "--count=1000000",
            "--threads=1",
            "--use",
            list,
        ],
    );
    assert_eq!(code, 1, "{figures:?}");
    assert!(figures.operations.is_empty(), "{figures:?}");
    assert_eq!(figures.errors.len(), 1, "{figures:?}");
}
