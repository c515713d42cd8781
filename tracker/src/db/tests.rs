//! Tests for every engine.

use std::collections::HashSet;
use std::path::Path;
use std::thread;

use db::{DatabaseUrl, DbError};
use proto::{AppId, GroupName, UserId};
use rusqlite::Connection;

use super::Routes;
use crate::config::{Config, Settings};

fn open(config: &Config) -> Result<Box<dyn Routes>, DbError> {
    super::open(&config.database, &config.mysql)
}

fn init(config: &Config) -> Result<Vec<String>, DbError> {
    super::init(&config.database, &config.mysql)
}

fn app() -> AppId {
    "tnvideo".parse().unwrap()
}

fn user(text: &str) -> UserId {
    text.parse().unwrap()
}

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The suite. `routes` is empty.
fn suite(routes: &dyn Routes) {
    assert_eq!(routes.groups().unwrap(), []);
    routes
        .add_groups(&groups(&["group002", "group001"]))
        .unwrap();
    routes
        .add_groups(&groups(&["group001", "group003"]))
        .unwrap();
    let all = groups(&["group001", "group002", "group003"]);
    assert_eq!(routes.groups().unwrap(), all);
    groups_are_closed_until_they_are_opened(routes, &all);
    users_are_bound_once(routes, &all);
    users_compare_byte_for_byte(routes, &all);
    all_who_bind_at_once_agree(routes, &all);
    users_are_moved_from_where_they_are(routes, &all);
    the_cluster_has_an_id_until_it_is_taken_away(routes);
    routes.close();
    assert!(routes.groups().unwrap_err().is_unavailable());
    let closed = routes.bind(&app(), &user("tnv001"), &all[0]);
    assert!(closed.unwrap_err().is_unavailable());
}

fn groups_are_closed_until_they_are_opened(routes: &dyn Routes, all: &[GroupName]) {
    assert_eq!(routes.closed_groups().unwrap(), []);
    for _ in 0..2 {
        routes.close_group(&all[1]).unwrap();
        assert_eq!(routes.closed_groups().unwrap(), groups(&["group002"]));
        // What a tracker does at its start.
        routes.add_groups(all).unwrap();
        assert_eq!(routes.groups().unwrap(), groups(&["group001", "group003"]));
    }
    for _ in 0..2 {
        routes.open_group(&all[1]).unwrap();
        assert_eq!(routes.groups().unwrap(), all);
        assert_eq!(routes.closed_groups().unwrap(), []);
    }
}

/// The group in a user's own row.
fn own(routes: &dyn Routes, app: &str, name: &str) -> Option<GroupName> {
    let binding = routes.find(&app.parse().unwrap(), &user(name)).unwrap();
    binding.filter(|binding| binding.is_own).map(|b| b.group)
}

fn users_are_bound_once(routes: &dyn Routes, all: &[GroupName]) {
    let find = |app: &str| own(routes, app, "tnv001");
    assert_eq!(find("tnvideo"), None);
    for candidate in [&all[1], &all[0]] {
        let bound = routes.bind(&app(), &user("tnv001"), candidate).unwrap();
        assert_eq!(bound, all[1]);
    }
    assert_eq!(find("tnvideo").as_ref(), Some(&all[1]));
    assert_eq!(find("other"), None);
}

fn users_compare_byte_for_byte(routes: &dyn Routes, all: &[GroupName]) {
    let alike = ["émile", "Émile", "emile", "EMILE", "emile ", "用户"];
    for (idx, name) in alike.iter().enumerate() {
        let group = &all[idx % all.len()];
        assert_eq!(own(routes, "tnvideo", name), None, "{name}");
        let bound = routes.bind(&app(), &user(name), group).unwrap();
        assert_eq!(&bound, group, "{name}");
    }
}

fn all_who_bind_at_once_agree(routes: &dyn Routes, all: &[GroupName]) {
    let users = || (0..20).map(|n| user(&format!("new{n}")));
    let answers: HashSet<Vec<GroupName>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let candidate = &all[n % all.len()];
                let bind = move |user| routes.bind(&app(), &user, candidate).unwrap();
                scope.spawn(move || users().map(bind).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 1, "{answers:?}");
}

fn users_are_moved_from_where_they_are(routes: &dyn Routes, all: &[GroupName]) {
    let [moved, other] = ["moved", "MOVED"].map(user);
    let rebind = |from: usize, to: usize| {
        let (from, to) = (&all[from], &all[to]);
        routes.rebind(&app(), &moved, from, to).unwrap()
    };
    assert_eq!(rebind(0, 1), None);
    for name in [&moved, &other] {
        routes.bind(&app(), name, &all[0]).unwrap();
    }
    assert_eq!(rebind(1, 2).as_ref(), Some(&all[0]));
    // Told again by another tracker.
    for _ in 0..2 {
        assert_eq!(rebind(0, 1).as_ref(), Some(&all[1]));
    }
    assert_eq!(rebind(0, 2).as_ref(), Some(&all[1]));
    assert_eq!(own(routes, "tnvideo", "moved").as_ref(), Some(&all[1]));
    assert_eq!(own(routes, "tnvideo", "MOVED").as_ref(), Some(&all[0]));
}

fn the_cluster_has_an_id_until_it_is_taken_away(routes: &dyn Routes) {
    let made = routes.cluster().unwrap();
    assert!(made.is_some());
    let other = "abc".parse().unwrap();
    routes.name_cluster(&other).unwrap();
    assert_eq!(routes.cluster().unwrap(), made);
    routes.unname_cluster().unwrap();
    assert_eq!(routes.cluster().unwrap(), None);
    routes.name_cluster(&other).unwrap();
    assert_eq!(routes.cluster().unwrap(), Some(other));
}

fn config(database: &str) -> Config {
    Config::of(Settings {
        database: database.parse().unwrap(),
        ..Settings::default()
    })
}

fn sqlite_config(path: &Path) -> Config {
    Config::of(Settings {
        database: DatabaseUrl::Sqlite(path.to_owned()),
        ..Settings::default()
    })
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_config(&folder.path().join("sub/tracker.db"));
    assert_eq!(init(&url).unwrap().len(), 2);
    suite(&*open(&url).unwrap());
    assert_eq!(init(&url).unwrap(), ["tables of tracker are at version 1"]);
    // What was committed is there after closing and opening.
    let again = open(&url).unwrap();
    assert_eq!(again.cluster().unwrap(), Some("abc".parse().unwrap()));
    let bound = own(&*again, "tnvideo", "tnv001");
    assert_eq!(bound, Some("group002".parse().unwrap()));
    // No C++ tracker reads this file: another application's user is another one.
    assert_eq!(
        again
            .find(&"other".parse().unwrap(), &user("tnv001"))
            .unwrap(),
        None
    );
}

/// The tables as the C++ system makes them, with what its trackers wrote when two were asked at
/// once, and names that it allows and we do not.
const COPIED: &str = "
CREATE TABLE t_groups_info (id integer primary key autoincrement, group_name varchar(32),
    create_time timestamp default current_timestamp,
    update_time timestamp default current_timestamp);
CREATE TABLE t_router (id integer primary key autoincrement, appid varchar(32),
    userid varchar(128), group_name varchar(32),
    create_time timestamp default current_timestamp,
    update_time timestamp default current_timestamp);
INSERT INTO t_groups_info (group_name) VALUES ('group001'), ('a-b'), ('group001');
INSERT INTO t_router (id, appid, userid, group_name) VALUES
    (7, 'tnvideo', 'twice', 'group002'), (3, 'tnvideo', 'twice', 'group001'),
    (9, 'tnvideo', 'strange', 'a-b'), (10, 'tnvideo', 'once', 'group002');
";

#[test]
fn copied_tables_are_used_and_the_lowest_id_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracker.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(COPIED).unwrap();
    let routes = open(&sqlite_config(&path)).unwrap();
    let [group001, group002] = ["group001", "group002"].map(|name| name.parse().unwrap());
    assert_eq!(routes.groups().unwrap(), [GroupName::clone(&group001)]);
    let bind = |name: &str| routes.bind(&app(), &user(name), &group002);
    assert_eq!(bind("twice").unwrap(), group001);
    assert_eq!(bind("once").unwrap(), group002);
    assert_eq!(bind("new").unwrap(), group002);
    let error = routes.find(&app(), &user("strange")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "database error: cannot use the group a user is bound to"
    );
}

mod mysql;
