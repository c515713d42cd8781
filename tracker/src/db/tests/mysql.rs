//! On MariaDB and Galera.

use std::collections::HashMap;

use test_mariadb::Mariadb;
use test_support::{PATIENCE, until, wait_for};

use super::*;
use crate::db::Binding;

fn mysql_config(url: &str, server: &Mariadb) -> Config {
    let mut config = config(url);
    config.mysql.password_file = Some(server.password_file());
    config
}

/// An empty database, and the settings that lead to it.
fn fresh(server: &Mariadb, name: &str) -> Config {
    server.create_database(name);
    mysql_config(&server.url(name), server)
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn mysql() {
    let config = fresh(test_mariadb::shared(), "suite");
    assert_eq!(init(&config).unwrap().len(), 6);
    suite(&*open(&config).unwrap());
    assert_eq!(
        init(&config).unwrap(),
        ["tables of tracker are at version 1"]
    );
    let again = open(&config).unwrap();
    let bound = own(&*again, "tnvideo", "tnv001");
    assert_eq!(bound, Some("group002".parse().unwrap()));
}

/// As the C++ system makes its tables and fills them.
const OF_CPP: &str = "
CREATE TABLE t_groups_info (id int unsigned auto_increment primary key, group_name varchar(32),
    create_time timestamp default current_timestamp,
    update_time timestamp default current_timestamp on update current_timestamp)
    ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE t_router (id int unsigned auto_increment primary key, appid varchar(32),
    userid varchar(128), group_name varchar(32),
    create_time timestamp default current_timestamp,
    update_time timestamp default current_timestamp on update current_timestamp)
    ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO t_groups_info SET group_name='group001';
INSERT INTO t_groups_info SET group_name='a-b';
INSERT INTO t_groups_info SET group_name='group001';
INSERT INTO t_router SET id=7, appid='tnvideo', userid='twice', group_name='group002';
INSERT INTO t_router SET id=3, appid='tnvideo', userid='twice', group_name='group001';
INSERT INTO t_router SET id=9, appid='tnvideo', userid='strange', group_name='a-b';
INSERT INTO t_router SET id=10, appid='tnvideo', userid='once', group_name='group002';
INSERT INTO t_router SET id=11, appid='tnvideo', userid='ONCE', group_name='group001';
";

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn tables_of_the_cpp_system_are_used() {
    let server = test_mariadb::shared();
    let config = fresh(server, "of_cpp");
    server.execute("of_cpp", OF_CPP);
    // The error tells the remedy, and the tracker works after it.
    let routes = open(&config).unwrap();
    let [group001, group002] = ["group001", "group002"].map(|n| n.parse::<GroupName>().unwrap());
    let refused = routes
        .add_groups(std::slice::from_ref(&group002))
        .unwrap_err();
    assert!(refused.is_awaited(), "{refused:?}");
    assert!(
        refused
            .to_string()
            .contains("tnv-tracker --config FILE --init-database")
    );
    let done = init(&config).unwrap();
    assert_eq!(done.len(), 4, "{done:?}");
    let listed = wait_for("the groups", PATIENCE, || {
        routes.groups().map_err(|e| {
            assert!(e.is_awaited(), "{e:?}");
            e.to_string()
        })
    });
    let listed = listed.unwrap();
    // The group that was refused before is there.
    assert_eq!(listed, [group001.clone(), group002.clone()]);
    let bind = |name: &str| routes.bind(&app(), &user(name), &group002);
    assert_eq!(bind("twice").unwrap(), group001);
    assert_eq!(bind("once").unwrap(), group002);
    assert_eq!(bind("ONCE").unwrap(), group001);
    assert_eq!(bind("Once").unwrap(), group002);
    assert_eq!(bind("new").unwrap(), group002);
    assert!(routes.find(&app(), &user("strange")).is_err());
    // A C++ tracker reads the new row and adds one.
    let theirs = "SELECT group_name FROM t_router WHERE appid='tnvideo' AND userid='new'";
    assert_eq!(server.query("of_cpp", theirs), ["group002"]);
    server.execute(
        "of_cpp",
        "INSERT INTO t_router SET appid='tnvideo', userid='new', group_name='group001'",
    );
    assert_eq!(own(&*routes, "tnvideo", "new").as_ref(), Some(&group002));
    assert_users_without_a_row(&*routes, &group001, &group002);
    assert_eq!(routes.find(&app(), &user("nobody")).unwrap(), None);
    // After a move all rows of the user have the same group.
    server.execute(
        "of_cpp",
        "INSERT INTO t_router SET appid='tnvideo', userid='twice', group_name='group001'",
    );
    let moved = routes.rebind(&app(), &user("twice"), &group001, &group002);
    assert_eq!(moved.unwrap(), Some(group002));
    let theirs = "SELECT DISTINCT group_name FROM t_router WHERE userid='twice'";
    assert_eq!(server.query("of_cpp", theirs), ["group002"]);
}

/// A user without a row goes to the group that a C++ tracker finds: by the user id alone, compared by
/// its collation, the lowest id first.
fn assert_users_without_a_row(routes: &dyn Routes, group001: &GroupName, group002: &GroupName) {
    for (app, name, group) in [
        ("tnvideo", "TWICE", group001),
        ("other", "twice", group001),
        ("tnvideo", "twicé", group001),
        ("other", "NEW", group002),
    ] {
        let binding = routes.find(&app.parse().unwrap(), &user(name)).unwrap();
        let expected = Binding {
            group: group.clone(),
            is_own: false,
        };
        assert_eq!(binding, Some(expected), "{app}/{name}");
    }
}

/// Tables in a character set that has no emoji, as old servers make them.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_user_that_the_tables_cannot_hold_is_bound_to_no_group() {
    let server = test_mariadb::shared();
    let config = fresh(server, "of_utf8mb3");
    server.execute(
        "of_utf8mb3",
        &OF_CPP.replace("CHARSET=utf8mb4", "CHARSET=utf8mb3"),
    );
    init(&config).unwrap();
    let routes = open(&config).unwrap();
    let [emoji, group] = ["\u{1f4a5}", "group001"];
    assert_eq!(routes.find(&app(), &user(emoji)).unwrap(), None);
    let refused = routes.bind(&app(), &user(emoji), &group.parse().unwrap());
    assert!(matches!(refused, Err(DbError::Unfit { .. })), "{refused:?}");
    routes.availability().full().unwrap();
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn trackers_on_two_nodes_agree_on_new_users() {
    let cluster = test_mariadb::shared_galera();
    cluster.nodes[0].create_database("agree");
    let config = |order: &[usize]| mysql_config(&cluster.url(order, "agree"), &cluster.nodes[0]);
    init(&config(&[0])).unwrap();
    let all = groups(&["group001", "group002", "group003"]);
    let trackers = [[0], [1]].map(|order| open(&config(&order)).unwrap());
    let answers: Vec<HashMap<String, GroupName>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (routes, candidate) = (&trackers[n % 2], &all[n % 3]);
                scope.spawn(move || {
                    let bind = |name: String| {
                        let group = routes.bind(&app(), &user(&name), candidate).unwrap();
                        (name, group)
                    };
                    (0..300).map(|n| format!("user{n}")).map(bind).collect()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for other in &answers[1..] {
        assert_eq!(*other, answers[0]);
    }
    // A node applies the rows of other nodes a moment later.
    let rows = || cluster.nodes[2].query("agree", "SELECT count(*) FROM t_router");
    until("all rows on the third node", || rows() == ["300"]);
}
