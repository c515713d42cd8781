//! Status and metrics of the daemons agree with the requests.

use std::collections::BTreeMap;

use bench::Content;
use serde_json::Value;
use test_cluster::{Layout, Node, Role};

use crate::support::{Fixture, MIB, new_key, wait_for};

/// The samples of a page of metrics by name and labels.
type Samples = BTreeMap<String, f64>;

fn metrics(fixture: &Fixture, node: &Node) -> Samples {
    let page = fixture.get(&format!("http://{}/metrics", node.status), None);
    assert_eq!(page.status, 200);
    let text = String::from_utf8(page.body).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

/// Waits for the sum over the nodes of a role. A request is counted when it has ended, which may be a
/// moment after its reply.
fn wait_for_sum(fixture: &Fixture, role: Role, sample: &str, expected: u64) {
    wait_for(sample, || {
        let nodes = fixture.nodes(role);
        let values = nodes.iter().map(|node| metrics(fixture, node)[sample]);
        let sum: f64 = values.sum();
        if sum == expected as f64 {
            Ok(())
        } else {
            Err(format!("{sample} is {sum}, not {expected}"))
        }
    });
}

fn requests(command: &str, outcome: &str) -> String {
    format!("tnv_requests_total{{command=\"{command}\",outcome=\"{outcome}\"}}")
}

#[test]
fn counters_equal_the_requests() {
    let fixture = Fixture::small(2);
    let sent = "tnv_http_content_sent_bytes_total{method=\"get\"}";
    // The reply to the test for readiness, which is counted when it has ended.
    let httpd = &fixture.nodes(Role::Httpd)[0];
    let sent_before = wait_for("the look to be counted", || {
        match metrics(&fixture, httpd)[sent] as u64 {
            0 => Err("no byte sent".to_owned()),
            sent => Ok(sent),
        }
    });
    let sizes = [0, 1, 70_000, 2 * MIB + 5];
    let contents = sizes.map(|size| Content::new(size, size));
    let keys = contents.each_ref().map(|content| fixture.upload(content));
    let client = fixture.client();
    for (key, content) in keys.iter().zip(&contents) {
        client.stat(key).unwrap();
        fixture.assert_streams(key.file.as_str(), content);
    }
    client.delete(&keys[0]).unwrap();
    assert!(client.delete(&keys[0]).is_err());
    let total: u64 = sizes.iter().sum();
    let is = |sample: &str, expected| wait_for_sum(&fixture, Role::Storage, sample, expected);
    is(&requests("upload", "ok"), 4);
    is(
        "tnv_content_received_bytes_total{command=\"upload\"}",
        total,
    );
    is("tnv_content_sent_bytes_total{command=\"read\"}", total);
    is(&requests("delete", "ok"), 1);
    is(&requests("delete", "not_found"), 1);
    is("tnv_request_duration_seconds_count{command=\"delete\"}", 2);
    let is = |sample: &str, expected| wait_for_sum(&fixture, Role::Httpd, sample, expected);
    is("tnv_http_requests_total{code=\"200\",method=\"get\"}", 4);
    is(sent, sent_before + total);
    is("tnv_http_replies_cut_total{method=\"get\"}", 0);
}

#[test]
fn every_daemon_shows_its_status() {
    let fixture = Fixture::start(&Layout::small(1));
    for node in Role::ALL.into_iter().flat_map(|role| fixture.nodes(role)) {
        let get = |path: &str| fixture.get(&format!("http://{}{path}", node.status), None);
        wait_for(&format!("{} to be well", node.name), || {
            let page = get("/healthz");
            let text = String::from_utf8(page.body).unwrap();
            if (page.status, text.as_str()) == (200, "ok\n") {
                Ok(())
            } else {
                Err(text)
            }
        });
        let status: Value = serde_json::from_slice(&get("/status").body).unwrap();
        assert_eq!(status["daemon"], format!("tnv-{}", node.role.as_str()));
        assert_eq!(status["health"]["state"], "ok");
        let samples = metrics(&fixture, &node);
        assert_eq!(samples["tnv_health{state=\"ok\"}"], 1.0);
        assert!(samples["process_resident_memory_bytes"] > 0.0);
    }
}

/// Waits until `/healthz` of a node has this code and all of `words`.
fn wait_for_health(fixture: &Fixture, node: &Node, code: u16, words: &[&str]) {
    wait_for(&format!("{} to say {words:?}", node.name), || {
        let page = fixture.get(&format!("http://{}/healthz", node.status), None);
        let text = String::from_utf8(page.body).unwrap();
        if page.status == code && words.iter().all(|word| text.contains(word)) {
            Ok(())
        } else {
            Err(format!("{} {text}", page.status))
        }
    });
}

#[test]
fn an_httpd_is_not_ready_while_no_tracker_can_be_reached() {
    let mut fixture = Fixture::start(&Layout {
        trackers: 2,
        ..Layout::small(1)
    });
    let httpd = fixture.nodes(Role::Httpd).remove(0);
    let [lost, kept] = fixture.nodes(Role::Tracker).try_into().unwrap();
    let reachable =
        |tracker: &Node| format!("tnv_tracker_reachable{{tracker=\"{}\"}}", tracker.addr);
    wait_for_health(&fixture, &httpd, 200, &["ok"]);
    fixture.cluster.kill(&lost).unwrap();
    let lost_addr = lost.addr.to_string();
    wait_for_health(&fixture, &httpd, 200, &["degraded", &lost_addr]);
    let samples = metrics(&fixture, &httpd);
    assert_eq!(samples[&reachable(&lost)], 0.0);
    assert_eq!(samples[&reachable(&kept)], 1.0);
    fixture.cluster.kill(&kept).unwrap();
    wait_for_health(&fixture, &httpd, 503, &["no tracker can be reached"]);
    for tracker in [&lost, &kept] {
        fixture.cluster.start_node(tracker).unwrap();
    }
    wait_for_health(&fixture, &httpd, 200, &["ok"]);
}

#[test]
fn a_storage_names_unreachable_trackers_and_idservers() {
    let mut fixture = Fixture::start(&Layout {
        trackers: 2,
        ..Layout::small(1)
    });
    let storage = fixture.nodes(Role::Storage).remove(0);
    wait_for_health(&fixture, &storage, 200, &["ok"]);
    let [lost, kept] = fixture.nodes(Role::Tracker).try_into().unwrap();
    let of = |name: &str, tracker: &Node| format!("{name}{{tracker=\"{}\"}}", tracker.addr);
    fixture.cluster.kill(&lost).unwrap();
    let lost_addr = lost.addr.to_string();
    wait_for_health(&fixture, &storage, 200, &["degraded", &lost_addr]);
    let samples = metrics(&fixture, &storage);
    assert_eq!(samples[&of("tnv_tracker_joined", &lost)], 0.0);
    assert_eq!(samples[&of("tnv_tracker_joined", &kept)], 1.0);
    let last_beat = "tnv_tracker_last_beat_timestamp_seconds";
    assert!(samples[&of(last_beat, &lost)] > 0.0);
    assert_eq!(samples["tnv_database_up"], 1.0);
    let idservers = fixture.nodes(Role::Idserver);
    for idserver in &idservers {
        fixture.cluster.kill(idserver).unwrap();
    }
    let content = Content::new(1, 1000);
    let uploaded = fixture
        .client()
        .upload(&new_key(), &mut content.clone(), 1000, &mut |_| ());
    assert!(uploaded.is_err());
    wait_for_health(&fixture, &storage, 503, &["failing", "no idserver"]);
    assert_eq!(metrics(&fixture, &storage)["tnv_idservers_up"], 0.0);
    // The storage asks again by itself.
    for node in idservers.iter().chain([&lost]) {
        fixture.cluster.start_node(node).unwrap();
    }
    wait_for_health(&fixture, &storage, 200, &["ok"]);
    assert_eq!(metrics(&fixture, &storage)["tnv_idservers_up"], 1.0);
}
