//! SIGHUP applies the settings that can change; the log names the others.

use std::fs;

use bench::Content;
use rustix::process::Signal;
use test_cluster::{Layout, Node, Role, probe};

use crate::support::{Fixture, MIB, wait_for};

/// Changes the configuration of a node and sends SIGHUP. Waits for a log line with `words`.
fn reload(fixture: &mut Fixture, node: &Node, change: impl Fn(&str) -> String, words: &str) {
    let path = fixture.cluster.plan().config(node);
    let text = change(&fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();
    let before = log(fixture, node).matches(words).count();
    let process = fixture.cluster.process(node).unwrap();
    process.signal(Signal::HUP).unwrap();
    wait_for(words, || {
        let text = log(fixture, node);
        if text.matches(words).count() > before {
            Ok(())
        } else {
            Err(text)
        }
    });
}

fn log(fixture: &Fixture, node: &Node) -> String {
    fs::read_to_string(fixture.cluster.plan().log(node)).unwrap()
}

#[test]
fn the_log_level_changes_and_the_log_names_other_settings() {
    let mut fixture = Fixture::small(1);
    for node in fixture.cluster.plan().nodes.clone() {
        let debug = |text: &str| text.replace("level = \"info\"", "level = \"debug\"");
        reload(&mut fixture, &node, debug, "changed: log.level");
        let port = format!("listen = \"{}\"", node.addr);
        let other = |text: &str| text.replace(&port, "listen = \"127.0.0.1:1\"");
        reload(
            &mut fixture,
            &node,
            other,
            "listen needs a restart to change",
        );
        let broken = |text: &str| format!("lissen = 1\n{text}");
        reload(
            &mut fixture,
            &node,
            broken,
            "the configuration stays as it was",
        );
        assert!(log(&fixture, &node).contains("lissen"));
    }
    // The storage logs an unknown command at debug only.
    let storage = fixture.nodes(Role::Storage).remove(0);
    probe::ready(fixture.cluster.plan(), &storage).unwrap();
    wait_for("a line at debug", || {
        let text = log(&fixture, &storage);
        if text.contains(" DEBUG ") {
            Ok(())
        } else {
            Err(text)
        }
    });
    let content = Content::new(1, MIB);
    let key = fixture.upload(&content);
    fixture.assert_streams(key.file.as_str(), &content);
}

#[test]
fn storages_use_trackers_and_idservers_of_a_reload() {
    let mut fixture = Fixture::start(&Layout {
        trackers: 2,
        idservers: 2,
        ..Layout::small(1)
    });
    let storage = fixture.nodes(Role::Storage).remove(0);
    let [first, second] = [0, 1].map(|idx| fixture.cluster.addresses(Role::Tracker)[idx]);
    let lists = [Role::Tracker, Role::Idserver].map(|role| {
        let addrs = fixture.cluster.addresses(role);
        let list = |addrs: &[_]| -> Vec<String> { addrs.iter().map(ToString::to_string).collect() };
        (
            format!("{:?}", list(&addrs)),
            format!("{:?}", list(&addrs[..1])),
        )
    });
    let swap = |text: &str, back: bool| {
        lists.iter().fold(text.to_owned(), |text, (both, one)| {
            let (from, to) = if back { (one, both) } else { (both, one) };
            text.replace(from, to)
        })
    };
    let words = "changed: idservers, trackers";
    reload(&mut fixture, &storage, |text| swap(text, false), words);
    let status =
        |tracker: std::net::SocketAddr| probe::status_at(&tracker.into(), &storage).unwrap();
    assert_eq!(status(second), None);
    assert_eq!(status(first).as_deref(), Some("ACTIVE"));
    reload(&mut fixture, &storage, |text| swap(text, true), words);
    wait_for("the storage to join again", || match status(second) {
        Some(status) if status == "ACTIVE" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let content = Content::new(2, MIB);
    let key = fixture.upload(&content);
    fixture.assert_streams(key.file.as_str(), &content);
}

#[test]
fn a_tracker_serves_applications_of_a_reload() {
    let mut fixture = Fixture::small(1);
    let tracker = fixture.nodes(Role::Tracker).remove(0);
    let stat = |fixture: &Fixture| {
        let output = fixture.tnv().run(["stat", "none"]).unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!stat(&fixture).contains("unknown appid"));
    let other = |text: &str| text.replace("app_ids = [\"", "app_ids = [\"x");
    reload(&mut fixture, &tracker, other, "changed: app_ids");
    let said = stat(&fixture);
    assert!(said.contains("unknown appid"), "{said}");
}
