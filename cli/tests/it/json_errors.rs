//! With `--json` each line of stderr is an object, also if the command line itself is wrong.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;
use std::sync::Arc;

use serde_json::Value;
use test_peers::storage::{FakeStorage, Memory};

use crate::support::{Setup, code, stderr, tnv};

/// The objects on stderr.
fn objects(output: &Output) -> Vec<Value> {
    let lines = stderr(output).lines();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    lines.map(parse).collect()
}

#[test]
fn a_failure_of_each_subcommand_is_one_object() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let setup = Setup::new(&[&storage]);
    let mistakes: [(&[&str], &str, Option<&str>, i32); 14] = [
        (&["upload", "nofile"], "local", Some("upload"), 10),
        (&["download", "none"], "not_found", Some("download"), 3),
        (&["stat", "none"], "not_found", Some("stat"), 3),
        (&["delete", "none"], "not_found", Some("delete"), 3),
        (&["delete", "--prefix", "\t"], "usage", Some("delete"), 2),
        (&["list", "--prefix", "\t"], "usage", Some("list"), 2),
        (&["usage", "--prefix", "\t"], "usage", Some("usage"), 2),
        (&["groups", "--config", "none"], "usage", Some("groups"), 2),
        (&["bench", "--mix", "id"], "usage", Some("bench"), 2),
        (&["sign", "/x"], "usage", Some("sign"), 2),
        (&["admin", "drain", "x"], "usage", Some("admin drain"), 2),
        (&["monitor", "--httpds", "x"], "usage", Some("monitor"), 2),
        (&["downlod", "x"], "usage", None, 2),
        (&["download", "x", "--offset", "-5"], "usage", None, 2),
    ];
    for (args, kind, command, exit) in mistakes {
        let output = setup.run(&[&["--json"], args].concat());
        assert_eq!(code(&output), exit, "{args:?}: {}", stderr(&output));
        let objects = objects(&output);
        let [object] = &objects[..] else {
            panic!("{args:?}: {objects:?}");
        };
        assert_eq!(object["kind"], kind, "{args:?}");
        assert_eq!(object["exit_code"], exit, "{args:?}");
        assert_eq!(object["command"].as_str(), command, "{args:?}");
        assert!(!object["error"].as_str().unwrap().is_empty(), "{args:?}");
        assert!(object.get("advice").is_some(), "{args:?}");
    }
}

#[test]
fn one_of_several_is_named_and_its_advice_is_text_once() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let setup = Setup::new(&[&storage]);
    let output = setup.run(&["stat", "--json", "one", "other"]);
    let objects = objects(&output);
    let ids: Vec<&str> = objects.iter().map(|o| o["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["one", "other"]);
    let advice: BTreeSet<&str> = objects
        .iter()
        .filter_map(|o| o["advice"].as_str())
        .collect();
    assert_eq!(advice.len(), 1);
    let output = setup.run(&["stat", "one", "other"]);
    let told = advice.first().unwrap();
    assert_eq!(stderr(&output).matches(told).count(), 1);
}

#[test]
fn a_remark_is_an_object() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let setup = Setup::new(&[&storage]);
    setup.write("a", b"a");
    let file = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = setup
        .command(&["upload", "--json", "a"])
        .stdout(file)
        .output();
    let objects = objects(&output.unwrap());
    assert_eq!(objects[0]["kind"], "local", "{objects:?}");
    assert_eq!(objects[1]["unprinted"]["file"], "a", "{objects:?}");
    assert_eq!(objects.len(), 2, "{objects:?}");
}

#[test]
fn what_is_wrong_with_a_target_or_an_address_is_told() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let setup = Setup::new(&[&storage]);
    fs::create_dir(setup.dir.path().join("folder")).unwrap();
    for (target, told) in [
        ("folder", "folder is a directory"),
        ("none/file", "there is no folder none"),
    ] {
        let output = setup.run(&["download", "x", "-o", target]);
        assert_eq!(code(&output), 10, "{}", stderr(&output));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let output = setup.run(&["groups", "--client-key-file", "folder"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("folder: is a directory"),
        "{}",
        stderr(&output)
    );
    for (trackers, told) in [
        ("http://10.0.0.1:21000", "it is a URL"),
        (
            "10.0.0.1:21000:",
            "the port is missing behind the last colon",
        ),
        ("", "use --trackers, TNV_TRACKERS or `trackers`"),
    ] {
        let output = tnv(setup.dir.path(), trackers, &["groups"]).output();
        let output = output.unwrap();
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
}
