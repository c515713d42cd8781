//! A user without files is moved to another group during uploads.

use std::sync::atomic::{AtomicBool, Ordering};

use bench::Content;
use client::{Client, Uploaded};
use proto::FileKey;
use rusqlite::Connection;
use test_cluster::{Layout, Role, USER};

use crate::operations::{admin, taking_orders};
use crate::support::{Fixture, new_key, wait_for};

fn two_groups() -> (Fixture, String) {
    let layout = Layout {
        trackers: 2,
        groups: 2,
        ..Layout::small(2)
    };
    taking_orders(layout, "10s")
}

fn upload(client: &Client, seed: u64) -> Result<(FileKey, Uploaded), client::Error> {
    let (key, content) = (new_key(), Content::new(seed, 20_000));
    let (mut source, size) = (content.clone(), content.size());
    let uploaded = client.upload(&key, &mut source, size, &mut |_| ())?;
    Ok((key, uploaded))
}

/// The group in the row of a file.
fn group_of(fixture: &Fixture, key: &FileKey) -> String {
    let path = fixture.cluster.plan().database(Role::Storage);
    let connection = Connection::open(path).unwrap();
    let sql = "SELECT group_name FROM t_file_02 WHERE id = ?1";
    connection
        .query_row(sql, [key.file.as_str()], |row| row.get(0))
        .unwrap()
}

/// The group of the user, and the other group.
fn groups(fixture: &Fixture, key: &str) -> (String, &'static str) {
    let old = group(fixture, key);
    let mut all = ["group001", "group002"].into_iter();
    let new = all.find(|name| *name != old).unwrap();
    (old, new)
}

fn group(fixture: &Fixture, key: &str) -> String {
    let (exit, said) = admin(fixture, key, &["user"]);
    assert_eq!(exit, Some(0), "{said}");
    let from = said.find("group=").unwrap() + "group=".len();
    said[from..].split(' ').next().unwrap().to_owned()
}

#[test]
fn a_user_is_moved_under_load_and_no_file_is_left_behind() {
    let (fixture, key) = two_groups();
    // Both trackers cache the group.
    for _ in 0..8 {
        let (first, _) = upload(&fixture.client(), 1).unwrap();
        fixture.client().delete(&first).unwrap();
    }
    let (old, new) = groups(&fixture, &key);
    let is_moved = AtomicBool::new(false);
    let kept = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..3)
            .map(|seed| {
                scope.spawn({
                    let (fixture, is_moved) = (&fixture, &is_moved);
                    move || load(fixture, seed, is_moved)
                })
            })
            .collect();
        wait_for("a moment without files", || {
            match admin(&fixture, &key, &["move", "--to", new, USER]) {
                (Some(0), _) => Ok(()),
                // The user has files, or a long upload is in progress.
                (Some(4 | 5), said) => Err(said),
                other => panic!("{other:?}"),
            }
        });
        is_moved.store(true, Ordering::SeqCst);
        let kept = loads.into_iter().map(|load| load.join().unwrap());
        kept.flatten().collect::<Vec<_>>()
    });
    assert_eq!(group(&fixture, &key), new);
    assert!(kept.len() >= 3);
    for (seed, file) in kept {
        assert_eq!(group_of(&fixture, &file), new);
        fixture.assert_streams(file.file.as_str(), &Content::new(seed, 20_000));
    }
    let (exit, said) = admin(&fixture, &key, &["move", "--to", &old, USER]);
    assert_eq!(exit, Some(4), "{said}");
    assert!(said.contains("the user has files, such as"), "{said}");
}

/// Uploads and deletes files until the user is moved, and then uploads 20 files. Repeats refused
/// uploads.
fn load(fixture: &Fixture, seed: u64, is_moved: &AtomicBool) -> Vec<(u64, FileKey)> {
    let client = fixture.client();
    let mut kept = Vec::new();
    while kept.len() < 20 {
        let was_moved = is_moved.load(Ordering::SeqCst);
        match upload(&client, seed) {
            Ok((file, _)) if was_moved => kept.push((seed, file)),
            // An acknowledged file is there in either group.
            Ok((file, _)) => client.delete(&file).unwrap(),
            Err(error) if error.kind().is_transient() && !was_moved => {}
            Err(error) => panic!("{}", error.chain()),
        }
    }
    kept
}

#[test]
fn a_user_stays_while_a_storage_of_the_old_group_is_silent() {
    let (mut fixture, key) = two_groups();
    let (first, _) = upload(&fixture.client(), 1).unwrap();
    fixture.client().delete(&first).unwrap();
    let (old, new) = groups(&fixture, &key);
    let order = |fixture: &Fixture| admin(fixture, &key, &["move", "--to", new, USER]);
    for (args, exit) in [
        (["move", "--to", "group009", USER], 3),
        (["move", "--to", new, "nobody"], 3),
    ] {
        assert_eq!(admin(&fixture, &key, &args).0, Some(exit));
    }
    let of_old = |node: &test_cluster::Node| node.group.as_ref() == Some(&old);
    let storage = fixture
        .nodes(Role::Storage)
        .into_iter()
        .find(of_old)
        .unwrap();
    fixture.cluster.kill(&storage).unwrap();
    let (exit, said) = order(&fixture);
    assert_eq!(exit, Some(5), "{said}");
    assert!(
        said.contains(&storage.addr.to_string()) && said.contains("forget"),
        "{said}"
    );
    assert_eq!(group(&fixture, &key), old);
    // The storages take uploads of the user again.
    let (file, _) = upload(&fixture.client(), 2).unwrap();
    assert_eq!(group_of(&fixture, &file), old);
    fixture.client().delete(&file).unwrap();
    fixture.cluster.start_node(&storage).unwrap();
    wait_for("the move to be done", || match order(&fixture) {
        (Some(0), _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // The move back works at once: the blocks of the first move have ended.
    assert_eq!(
        admin(&fixture, &key, &["move", "--to", &old, USER]).0,
        Some(0)
    );
    let (file, _) = upload(&fixture.client(), 3).unwrap();
    assert_eq!(group_of(&fixture, &file), old);
}
