//! A database in the wrong place, and what members may do to one another.

use daemon::metrics::Page;
use daemon::status::{Health, StatusSource};
use proto::hello::Welcome;

use super::*;
use crate::groups::Now;

/// A hello of node `node` that remembers `cluster`.
fn hello(node: &str, cluster: Option<&ClusterId>) -> TrackerRequest {
    TrackerRequest::Hello(Box::new(Hello {
        node: node.parse().unwrap(),
        advertise: None,
        address: None,
        local: None,
        remembers: true,
        cluster: cluster.cloned(),
    }))
}

/// A living member that remembers a cluster, or the one it is told of.
fn member_of<'a>(
    setting: &'a Setting,
    ip: &str,
    node: &str,
    cluster: Option<&ClusterId>,
) -> (Connection<'a>, Option<ClusterId>) {
    let mut connection = setting.connect(ip);
    let body = connection.call(hello(node, cluster)).unwrap();
    let told = Welcome::decode(&body).unwrap().cluster;
    if told.is_some() {
        connection.call(hello(node, told.as_ref())).unwrap();
    }
    connection.join("g1", "h", 1).unwrap();
    connection.beat("g1", "h").unwrap();
    (connection, told)
}

/// A tracker on the database of this folder, as after a restart.
fn restarted(folder: TempDir) -> Setting {
    let config = Config::of(Settings {
        database: DatabaseUrl::Sqlite(folder.path().join("tracker.db")),
        groups: ["g1", "g2"].map(|name| name.parse().unwrap()).to_vec(),
        ..Settings::default()
    });
    let globals = Globals::open(config).unwrap();
    globals.read_all_groups().unwrap();
    Setting {
        service: TrackerService::new(globals),
        folder,
    }
}

#[test]
fn a_lost_routing_table_is_told_and_gives_nobody_a_group() {
    let setting = restarted(tempfile::tempdir().unwrap());
    let (_storage, cluster) = member_of(&setting, "10.0.0.1", "aa", None);
    assert!(cluster.is_some());
    setting.saddrs("alice").unwrap();
    // The database is gone; so is the tracker that made it.
    let other = restarted(tempfile::tempdir().unwrap());
    let (mut storage, told) = member_of(&other, "10.0.0.1", "aa", cluster.as_ref());
    assert_eq!(told, None);
    let refused = [
        other.saddrs("alice"),
        other.lookup("alice"),
        other.saddrs("new"),
    ];
    for refused in refused {
        let fault = refused.unwrap_err();
        assert_eq!(fault.code, ErrorCode::Unavailable);
        let id = cluster.as_ref().unwrap().as_str();
        assert!(fault.message.contains(id), "{fault}");
    }
    assert_eq!(other.bound("alice"), None);
    // A new storage does not take the new database's side.
    let (_fresh, told) = member_of(&other, "10.0.0.2", "bb", None);
    assert_eq!(told, None);
    let globals = &other.service.globals;
    let shown = StatusView(Arc::clone(globals));
    let mut health = Health::default();
    shown.health(&mut health);
    assert_eq!(health.state(), "degraded");
    let mut page = Page::default();
    shown.measure(&mut page);
    let body = storage.call(TrackerRequest::Cluster).unwrap();
    let listed = Cluster::decode(&body).unwrap();
    assert_eq!(listed.tracker.warnings.len(), 1);
    // An administrator says that it is to be so.
    let lines = db::adopt(&globals.config.database, &globals.config.mysql).unwrap();
    assert_eq!(lines.len(), 1);
    globals.read_all_groups().unwrap();
    assert_eq!(globals.routes.cluster().unwrap(), cluster);
    assert_eq!(other.saddrs("alice").unwrap().0, "g1");
    let (_fresh, told) = member_of(&other, "10.0.0.3", "cc", None);
    assert_eq!(told, cluster);
}

#[test]
fn the_same_database_after_a_restart_is_the_right_one() {
    let setting = restarted(tempfile::tempdir().unwrap());
    let (storage, cluster) = member_of(&setting, "10.0.0.1", "aa", None);
    setting.saddrs("alice").unwrap();
    drop(storage);
    setting.service.globals.routes.close();
    let again = restarted(setting.folder);
    let (_storage, _) = member_of(&again, "10.0.0.1", "aa", cluster.as_ref());
    assert_eq!(again.lookup("alice").unwrap().0, "g1");
    again.saddrs("bob").unwrap();
    // One that was set up for another cluster is no reason to refuse users.
    let (_second, _) = member_of(&again, "10.0.0.2", "bb", cluster.as_ref());
    let (_stray, _) = member_of(&again, "10.0.0.3", "cc", Some(&"other".parse().unwrap()));
    again.saddrs("carol").unwrap();
}

#[test]
fn a_storage_of_an_earlier_version_is_told_nothing_and_its_node_id_is_told_to_nobody() {
    let setting = restarted(tempfile::tempdir().unwrap());
    let mut old = setting.connect("10.0.0.1");
    let body = old.call(TrackerRequest::Hello(Box::new(Hello {
        node: "aa".parse().unwrap(),
        advertise: None,
        address: None,
        local: None,
        remembers: false,
        cluster: None,
    })));
    assert!(body.unwrap().is_empty());
    old.join("g1", "h", 1).unwrap();
    let _new = member_of(&setting, "10.0.0.2", "bb", None);
    let body = old.call(TrackerRequest::Cluster).unwrap();
    let cluster = Cluster::decode(&body).unwrap();
    let nodes = cluster.groups.iter().flat_map(|group| &group.storages);
    let nodes: Vec<_> = nodes.map(|storage| storage.node.clone()).collect();
    let digests = ["aa", "bb"].map(|node| NodeId::new(node).unwrap().digest());
    assert_eq!(nodes, digests.map(|digest| digest.to_string()));
}

#[test]
fn a_connection_that_another_one_replaced_is_told_by_which() {
    let setting = Setting::new();
    let report = || TrackerRequest::Report(member("g1", "h"), Box::default());
    let rejected_joins = |connection: &mut Connection<'_>| {
        let refused = [
            connection.beat("g1", "h"),
            connection.call(report()),
            connection.leave("g1", "h"),
        ];
        refused.map(|refused| {
            let fault = refused.unwrap_err();
            assert_eq!(fault.code, ErrorCode::NotFound);
            fault.message
        })
    };
    let mut never = setting.connect("10.0.0.1");
    let text = "g1/h has not joined on this connection";
    assert_eq!(rejected_joins(&mut never), [text; 3]);

    // One without a node id, at the same address.
    let mut old = setting.active("g1", "10.0.0.1", 1);
    let mut new = setting.active("g1", "::ffff:10.0.0.1", 1);
    let text = "another connection, from 10.0.0.1, joined as this member since: g1/h at 10.0.0.1:1";
    assert_eq!(rejected_joins(&mut old), [text; 3]);
    new.call(report()).unwrap();

    // The same node, at another port.
    let join = |port| {
        let mut connection = setting.connect("10.0.0.2");
        connection.call(hello("aa", None)).unwrap();
        connection.join("g1", "h", port).unwrap();
        connection
    };
    let (mut old, mut new) = (join(2), join(3));
    let text = "another connection, from 10.0.0.2, joined as this member since: g1/h at 10.0.0.2:3";
    assert_eq!(rejected_joins(&mut old), [text; 3]);
    let mut latest = join(4);
    latest.beat("g1", "h").unwrap();
    assert!(new.beat("g1", "h").is_err());

    // Nobody is this member any more.
    let globals = &setting.service.globals;
    let mut groups = globals.groups.lock();
    let later = Now {
        elapsed: globals.now().elapsed + globals.config.check_interval.duration(),
        ..globals.now()
    };
    assert!(!groups.check(later).is_empty());
    groups.forget("10.0.0.2:4").unwrap();
    drop(groups);
    let text = "g1/h is no member any more";
    assert_eq!(rejected_joins(&mut latest), [text; 3]);
}

#[test]
fn the_list_of_everybody_is_shared_by_all_who_ask() {
    let setting = Setting::new();
    for port in 1..=1001 {
        let ip = format!("10.0.{}.{}", port / 200, port % 200 + 1);
        setting.connect(&ip).join("g1", "h", port).unwrap();
    }
    for request in [TrackerRequest::Groups, TrackerRequest::Cluster] {
        let [first, second] = [0; 2].map(|_| {
            let mut connection = setting.connect("10.0.9.9");
            let mut caller = connection.caller();
            let reply = setting.service.call(request.clone(), &mut caller).unwrap();
            match reply {
                Reply::Body(mut parts) => match parts.pop() {
                    Some(Part::Shared(body)) => body,
                    _ => panic!("a copy"),
                },
                Reply::Content(_) => panic!("a list"),
            }
        });
        assert!(Arc::ptr_eq(&first, &second));
    }
}
