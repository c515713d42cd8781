//! Trackers stop and start.

use std::time::{Duration, Instant};

use bench::Content;
use proto::group_list::Storage;
use test_cluster::{Layout, Node, Role, probe};

use crate::support::{Fixture, wait_for};

/// Members notice a restarted tracker at their next beat, within 2 s here, and try again after 2 s.
const BACK_WITHIN: Duration = Duration::from_secs(10);

fn pair() -> Fixture {
    Fixture::start(&Layout {
        trackers: 2,
        ..Layout::small(2)
    })
}

#[test]
fn clients_continue_with_the_other_tracker() {
    let mut fixture = pair();
    for (round, tracker) in fixture.nodes(Role::Tracker).into_iter().enumerate() {
        fixture.cluster.kill(&tracker).unwrap();
        let content = Content::new(round as u64, 1_000_000);
        let path = fixture.local_file("film.mp4", &content);
        let id = fixture.tnv_upload(&path);
        fixture.assert_streams(&id, &content);
        fixture.tnv().say(["stat", &id]).unwrap();
        fixture.tnv().say(["delete", &id]).unwrap();
        fixture.cluster.start_node(&tracker).unwrap();
        fixture.cluster.wait_ready().unwrap();
    }
}

#[test]
fn restarted_trackers_have_their_members_back_within_seconds() {
    let mut fixture = pair();
    let trackers = fixture.nodes(Role::Tracker);
    let content = Content::new(1, 100_000);
    let id = fixture.upload(&content).file.as_str().to_owned();
    for tracker in &trackers {
        fixture.cluster.kill(tracker).unwrap();
    }
    let begun = Instant::now();
    for tracker in &trackers {
        fixture.cluster.start_node(tracker).unwrap();
    }
    fixture.cluster.wait_ready().unwrap();
    let took = begun.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}");
    fixture.assert_streams(&id, &content);
}

#[test]
fn a_killed_storage_turns_offline_and_comes_back() {
    let mut layout = Layout::small(2);
    layout.settings.beat_interval = "300ms";
    layout.settings.check_interval = "1s";
    let mut fixture = Fixture::start(&layout);
    let (tracker, storage) = (
        fixture.nodes(Role::Tracker)[0].clone(),
        fixture.nodes(Role::Storage)[0].clone(),
    );
    fixture.cluster.kill(&storage).unwrap();
    wait_for("the tracker to miss a storage", || {
        let status = status(&tracker, &storage);
        if status.as_deref() == Some(Storage::ACTIVE) {
            return Err(format!("{status:?}"));
        }
        Ok(())
    });
    let content = Content::new(1, 100_000);
    let key = fixture.upload(&content);
    fixture.assert_streams(key.file.as_str(), &content);
    fixture.cluster.start_node(&storage).unwrap();
    fixture.cluster.wait_ready().unwrap();
}

fn status(tracker: &Node, storage: &Node) -> Option<String> {
    probe::status_at(&tracker.addr.into(), storage).unwrap()
}
