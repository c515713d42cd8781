use std::io::Write;
use std::net::TcpStream;

use ::db::{DatabaseUrl, DbError};
use base::units::Period;
use daemon::status::{StatusConfig, StatusPort};
use net::PeerProbe;
use proto::admin::TrackerOrder;
use proto::cluster::Cluster;
use proto::group_list;
use proto::report::Drain;
use proto::tracker::{BEAT, JOIN, LEAVE, Saddrs};
use proto::{Address, AppId, ClusterId, GroupName, NodeId, UserId};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::db;
use crate::status_view::StatusView;

/// A service on a database of its own, with the groups g1 and g2.
struct Setting {
    service: TrackerService,
    folder: TempDir,
}

/// One connection.
struct Connection<'a> {
    service: &'a TrackerService,
    peer: SocketAddr,
    session: Session,
}

impl Setting {
    fn new() -> Setting {
        Setting::with_ttl(Period::from_secs(60))
    }

    fn with_ttl(ttl: Period) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            database: DatabaseUrl::Sqlite(folder.path().join("tracker.db")),
            groups: ["g1", "g2"].map(|name| name.parse().unwrap()).to_vec(),
            ..Config::default()
        };
        config.cache.ttl = ttl;
        Setting {
            service: TrackerService::new(Globals::open(config).unwrap()),
            folder,
        }
    }

    fn connect(&self, ip: &str) -> Connection<'_> {
        Connection {
            service: &self.service,
            peer: SocketAddr::new(ip.parse().unwrap(), 40000),
            session: Session::default(),
        }
    }

    /// A member that joined and beat; its connection, and where clients are sent.
    fn active(&self, group: &str, ip: &str, port: u16) -> Connection<'_> {
        let mut connection = self.connect(ip);
        connection.join(group, "h", port).unwrap();
        connection.beat(group, "h").unwrap();
        connection
    }

    fn saddrs(&self, user: &str) -> Result<(String, Vec<String>), Fault> {
        self.route(user, Purpose::Upload)
    }

    fn lookup(&self, user: &str) -> Result<(String, Vec<String>), Fault> {
        self.route(user, Purpose::Lookup)
    }

    fn route(&self, user: &str, purpose: Purpose) -> Result<(String, Vec<String>), Fault> {
        let saddrs = Saddrs {
            app: "tnvideo".parse().unwrap(),
            user: user.parse().unwrap(),
            file: None,
        };
        let client = [127, 0, 0, 1].into();
        let reply = self.service.router.route(saddrs, client, purpose)?;
        let addresses = reply.addresses.iter().map(Address::to_string);
        Ok((reply.group.to_string(), addresses.collect()))
    }

    fn bound(&self, user: &str) -> Option<GroupName> {
        let routes = &self.service.globals.routes;
        let app = "tnvideo".parse().unwrap();
        let binding = routes.find(&app, &user.parse().unwrap()).unwrap();
        binding.map(|binding| binding.group)
    }
}

impl Connection<'_> {
    fn caller(&mut self) -> Caller<'_, Session> {
        Caller {
            peer: self.peer,
            probe: PeerProbe::default(),
            session: &mut self.session,
        }
    }

    fn call(&mut self, request: TrackerRequest) -> Result<Vec<u8>, Fault> {
        let service = self.service;
        match service.call(request, &mut self.caller())? {
            Reply::Body(body) => Ok(body),
            Reply::Shared(body) => Ok(body.to_vec()),
            _ => panic!("a tracker replies with bytes"),
        }
    }

    fn join(&mut self, group: &str, host: &str, port: u16) -> Result<Vec<u8>, Fault> {
        self.call(TrackerRequest::Join(Join {
            version: "1.0".parse().unwrap(),
            member: member(group, host),
            port,
            start_time: 1,
            join_time: 2,
        }))
    }

    fn beat(&mut self, group: &str, host: &str) -> Result<Vec<u8>, Fault> {
        self.call(TrackerRequest::Beat(member(group, host)))
    }

    fn leave(&mut self, group: &str, host: &str) -> Result<Vec<u8>, Fault> {
        self.call(TrackerRequest::Leave(member(group, host)))
    }

    /// Address and status of every member.
    fn list(&mut self) -> Vec<(String, String)> {
        let body = self.call(TrackerRequest::Groups).unwrap();
        let groups = group_list::decode(&body).unwrap();
        let storages = groups.into_iter().flat_map(|group| group.storages);
        storages.map(|s| (s.address, s.status)).collect()
    }
}

fn member(group: &str, host: &str) -> Member {
    Member {
        group: group.parse().unwrap(),
        hostname: host.parse().unwrap(),
    }
}

fn code<T>(result: Result<T, Fault>) -> ErrorCode {
    result.err().unwrap().code
}

fn row(address: &str, status: &str) -> (String, String) {
    (address.to_owned(), status.to_owned())
}

#[test]
fn what_may_take_long_takes_the_slow_lane() {
    let setting = Setting::new();
    for command in [SADDRS, LOOKUP, GROUPS] {
        assert_eq!(setting.service.pool(command), WorkerPool::Slow);
    }
    for command in [JOIN, BEAT, LEAVE] {
        assert_eq!(setting.service.pool(command), WorkerPool::Fast);
    }
}

#[test]
fn a_connection_speaks_for_the_member_that_joined_on_it() {
    let setting = Setting::new();
    let (mut first, mut second) = (setting.connect("10.0.0.1"), setting.connect("10.0.0.1"));
    first.join("g1", "h", 23000).unwrap();
    second.join("g1", "h", 23001).unwrap();
    second.beat("g1", "h").unwrap();
    let rows = [
        row("10.0.0.1:23000", "ONLINE"),
        row("10.0.0.1:23001", "ACTIVE"),
    ];
    assert_eq!(first.list(), rows);
    assert_eq!(code(first.beat("g2", "h")), ErrorCode::BadRequest);
    assert_eq!(code(first.leave("g2", "h")), ErrorCode::BadRequest);
    first.leave("g1", "h").unwrap();
    assert_eq!(second.list(), rows[1..]);
    assert_eq!(code(first.leave("g1", "h")), ErrorCode::NotFound);
    // Not the member that stayed, though it has the same name.
    second.leave("g1", "h").unwrap();
    assert_eq!(code(second.beat("g1", "h")), ErrorCode::NotFound);
    assert_eq!(second.list(), []);
}

#[test]
fn a_beat_of_another_connection_counts_when_it_can_mean_one_member_only() {
    let setting = Setting::new();
    let mut joined = setting.connect("10.0.0.1");
    joined.join("g1", "h", 23000).unwrap();
    let mut other = setting.connect("10.0.0.1");
    assert_eq!(code(other.beat("g1", "other")), ErrorCode::NotFound);
    assert_eq!(code(other.beat("g2", "h")), ErrorCode::NotFound);
    assert_eq!(
        code(setting.connect("10.0.0.2").beat("g1", "h")),
        ErrorCode::NotFound
    );
    other.beat("g1", "h").unwrap();
    assert_eq!(joined.list(), [row("10.0.0.1:23000", "ACTIVE")]);
    // Such a connection has joined nothing that it could leave.
    assert_eq!(code(other.leave("g1", "h")), ErrorCode::NotFound);
    setting.connect("10.0.0.1").join("g1", "h", 23001).unwrap();
    assert_eq!(code(other.beat("g1", "h")), ErrorCode::NotFound);
}

#[test]
fn addresses_are_listed_as_clients_can_use_them() {
    let setting = Setting::new();
    let mut connection = setting.connect("::ffff:10.0.0.1");
    assert_eq!(code(connection.join("g1", "h", 0)), ErrorCode::BadRequest);
    connection.join("g1", "h", 23000).unwrap();
    setting.connect("::1").join("g1", "h", 23000).unwrap();
    // The same member, whichever way it comes.
    setting.active("g1", "10.0.0.1", 23000);
    let rows = [
        row("10.0.0.1:23000", "ACTIVE"),
        row("[::1]:23000", "ONLINE"),
    ];
    assert_eq!(connection.list(), rows);
    assert_eq!(setting.saddrs("alice").unwrap().1, ["10.0.0.1:23000"]);
}

#[test]
fn other_applications_are_refused_in_the_words_of_the_cxx_tracker() {
    let setting = Setting::new();
    let saddrs = Saddrs {
        app: "badapp".parse().unwrap(),
        user: "alice".parse().unwrap(),
        file: None,
    };
    for purpose in [Purpose::Upload, Purpose::Lookup] {
        let router = &setting.service.router;
        let refused = router.route(saddrs.clone(), [10, 0, 0, 1].into(), purpose);
        assert_eq!(
            refused.unwrap_err(),
            Fault::new(ErrorCode::BadRequest, "unknown appid: badapp")
        );
    }
}

#[test]
fn a_new_user_goes_to_a_group_that_can_take_files() {
    let setting = Setting::new();
    let mut online = setting.connect("10.0.0.1");
    online.join("g1", "h", 1).unwrap();
    setting.active("g3", "10.0.0.3", 3);
    let fault = setting.saddrs("alice").unwrap_err();
    let expected = Fault::new(
        ErrorCode::Unavailable,
        "no group has an active storage that takes uploads for tnvideo/alice",
    );
    assert_eq!(fault, expected);
    assert_eq!(setting.bound("alice"), None);
    setting.active("g2", "10.0.0.2", 2);
    for user in ["alice", "bob", "Alice", "用户"] {
        let (group, addresses) = setting.saddrs(user).unwrap();
        assert_eq!(
            (&*group, &*addresses),
            ("g2", &["10.0.0.2:2".to_owned()][..])
        );
    }
    assert_eq!(setting.bound("alice").unwrap().as_str(), "g2");
    online.beat("g1", "h").unwrap();
    let groups: std::collections::HashSet<_> = (0..64)
        .map(|n| setting.saddrs(&format!("u{n}")).unwrap().0)
        .collect();
    assert_eq!(groups.len(), 2);
}

#[test]
fn a_user_stays_with_the_group_even_when_it_is_down() {
    let setting = Setting::new();
    let mut storage = setting.active("g1", "10.0.0.1", 1);
    setting.saddrs("alice").unwrap();
    storage.leave("g1", "h").unwrap();
    setting.active("g2", "10.0.0.2", 2);
    let fault = setting.saddrs("alice").unwrap_err();
    let expected = Fault::new(
        ErrorCode::Unavailable,
        "no active storage in group g1 of tnvideo/alice",
    );
    assert_eq!(fault, expected);
    setting.active("g1", "10.0.0.1", 1);
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
}

#[test]
fn three_members_of_many_are_told_in_a_ring() {
    let setting = Setting::new();
    let addresses: Vec<String> = (1..=5).map(|n| format!("10.0.0.{n}:{n}")).collect();
    for n in 1..=5 {
        setting.active("g1", &format!("10.0.0.{n}"), n);
    }
    let mut firsts = std::collections::HashSet::new();
    for _ in 0..200 {
        let (_, told) = setting.saddrs("alice").unwrap();
        let start = addresses.iter().position(|a| *a == told[0]).unwrap();
        let ring: Vec<_> = (0..3).map(|i| addresses[(start + i) % 5].clone()).collect();
        assert_eq!(told, ring);
        firsts.insert(start);
    }
    assert_eq!(firsts.len(), 5);
}

#[test]
fn with_the_database_away_users_that_are_known_are_served() {
    for ttl in [Period::from_secs(60), Period::from_millis(0)] {
        let setting = Setting::with_ttl(ttl);
        setting.active("g1", "10.0.0.1", 1);
        setting.saddrs("alice").unwrap();
        setting.service.globals.routes.close();
        assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
        assert_eq!(code(setting.saddrs("bob")), ErrorCode::Unavailable);
    }
}

#[test]
fn a_group_changed_in_the_database_counts_after_the_ttl() {
    for (ttl, after) in [
        (Period::from_secs(60), "g1"),
        (Period::from_millis(0), "g2"),
    ] {
        let setting = Setting::with_ttl(ttl);
        let mut storage = setting.active("g1", "10.0.0.1", 1);
        setting.saddrs("alice").unwrap();
        setting.active("g2", "10.0.0.2", 2);
        let other = rusqlite::Connection::open(setting.folder.path().join("tracker.db"));
        let change = "UPDATE t_router SET group_name = 'g2'";
        other.unwrap().execute(change, []).unwrap();
        assert_eq!(setting.saddrs("alice").unwrap().0, after);
        storage.leave("g1", "h").unwrap();
        assert_eq!(setting.saddrs("alice").is_ok(), after == "g2");
    }
}

#[test]
fn a_user_is_moved_to_a_group_that_takes_uploads_and_every_tracker_learns_it() {
    let setting = Setting::new();
    let order = |from: &str, to: &str| {
        let order = TrackerOrder::MoveUser {
            app: "tnvideo".parse().unwrap(),
            user: "alice".parse().unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        let by = ([10, 0, 0, 9], 40000).into();
        admin::execute(&setting.service.globals, order, by).map(drop)
    };
    setting.active("g1", "10.0.0.1", 1);
    assert_eq!(code(order("g1", "g1")), ErrorCode::NotFound);
    setting.saddrs("alice").unwrap();
    assert_eq!(code(order("g1", "g2")), ErrorCode::ReadOnly);
    assert_eq!(code(order("g1", "g3")), ErrorCode::NotFound);
    setting.active("g2", "10.0.0.2", 2);
    // What was remembered does not count any more.
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
    order("g1", "g2").unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().0, "g2");
    order("g1", "g2").unwrap();
    assert_eq!(code(order("g3", "g1")), ErrorCode::Exists);
    assert_eq!(setting.saddrs("alice").unwrap().0, "g2");
    // Moved by way of another tracker: this one is told, too.
    let routes = &setting.service.globals.routes;
    let [g1, g2] = ["g1", "g2"].map(|name| name.parse().unwrap());
    let (app, user) = ("tnvideo".parse().unwrap(), "alice".parse().unwrap());
    routes.rebind(&app, &user, &g2, &g1).unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().0, "g2");
    order("g2", "g1").unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
}

#[test]
fn who_would_wait_for_a_database_that_stands_still_is_sent_away() {
    let setting = Setting::with_ttl(Period::from_millis(0));
    setting.active("g1", "10.0.0.1", 1);
    setting.saddrs("alice").unwrap();
    let database_limit = &setting.service.globals.database_limit;
    let inside: Vec<_> = (0..Config::default().server.workers / 2)
        .map(|_| database_limit.acquire().unwrap())
        .collect();
    assert_eq!(code(setting.saddrs("bob")), ErrorCode::Unavailable);
    assert_eq!(setting.bound("bob"), None);
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
    drop(inside);
    assert_eq!(setting.saddrs("bob").unwrap().0, "g1");
}

#[test]
fn a_group_that_nobody_entered_is_told_of_and_only_entered_on_purpose() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    let by = SocketAddr::from(([127, 0, 0, 1], 1));
    let order = |order| crate::admin::execute(globals, order, by).map(drop);
    let [g2, g9]: [GroupName; 2] = ["g2", "g9"].map(|name| name.parse().unwrap());
    let open = |group: &GroupName, new| {
        let group = group.clone();
        order(TrackerOrder::OpenGroup { group, new })
    };
    let close = |group: &GroupName| {
        let group = group.clone();
        order(TrackerOrder::CloseGroup { group })
    };
    setting.active("g9", "10.0.0.9", 1);
    let told = || {
        let body = crate::cluster_reply::cluster(globals);
        let groups = Cluster::decode(&body).unwrap().groups.into_iter();
        let text = |group: proto::cluster::Group| match (group.unregistered, group.open) {
            (true, _) => format!("{} unregistered", group.name),
            (_, true) => group.name,
            (_, false) => format!("{} closed", group.name),
        };
        groups.map(text).collect::<Vec<_>>()
    };
    for fault in [close(&g9), open(&g9, false)] {
        let fault = fault.unwrap_err();
        assert_eq!(fault.code, ErrorCode::NotFound);
        assert!(fault.message.contains("group g9 is not in the database"));
    }
    assert_eq!(told(), ["g1", "g2", "g9 unregistered"]);
    setting.active("g2", "10.0.0.2", 1);
    close(&g2).unwrap();
    assert_eq!(told(), ["g1", "g2 closed", "g9 unregistered"]);
    open(&g2, false).unwrap();
    open(&g9, true).unwrap();
    assert_eq!(told(), ["g1", "g2", "g9"]);
}

#[test]
fn monitoring_sees_groups_without_storages_and_storages_without_clients() {
    let setting = Setting::new();
    let mut storage = setting.active("g1", "10.0.0.1", 1);
    let report = Report {
        drain: Drain::All,
        ..Report::default()
    };
    let report = TrackerRequest::Report(member("g1", "h"), Box::new(report));
    storage.call(report).unwrap();
    let globals = &setting.service.globals;
    let config = StatusConfig::<1>::at(([127, 0, 0, 1], 0).into());
    let shown = StatusView(Arc::clone(globals));
    let port = StatusPort::start(
        "tracker",
        config.bind().unwrap(),
        &globals.metrics.frame,
        shown,
    )
    .unwrap();
    let mut stream = TcpStream::connect(port.addr().unwrap()).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    port.shutdown();
    let sample = |line: &str| {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    };
    sample(r#"tnv_tracker_members{group="g1",state="active"} 1"#);
    sample(r#"tnv_tracker_offered_members{group="g1"} 0"#);
    sample(r#"tnv_tracker_drained_members{group="g1"} 1"#);
    sample(r#"tnv_tracker_unreachable_members{group="g1"} 0"#);
    sample(r#"tnv_tracker_members{group="g2",state="active"} 0"#);
    sample(r#"tnv_tracker_offered_members{group="g2"} 0"#);
    sample("tnv_tracker_refused_storages 0");
    let message = setting.saddrs("alice").unwrap_err().message;
    assert!(message.contains("takes uploads"), "{message}");
    let routes = &setting.service.globals.routes;
    let [app, user] = ["tnvideo", "bob"];
    let g1 = "g1".parse().unwrap();
    routes
        .bind(&app.parse().unwrap(), &user.parse().unwrap(), &g1)
        .unwrap();
    let message = setting.saddrs("bob").unwrap_err().message;
    assert!(message.ends_with(": 10.0.0.1:1 is drained"), "{message}");
}

#[test]
fn who_is_not_in_allow_hosts_may_ask_but_not_join() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    globals.allowed.reload(&["10.0.0.0/8".parse().unwrap()]);
    setting.active("g1", "10.0.0.1", 1);
    let mut stranger = setting.connect("192.0.2.1");
    let fault = stranger.join("g1", "h", 2).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Forbidden);
    assert_eq!(fault.message, "192.0.2.1 is not in allow_hosts");
    assert_eq!(stranger.list().len(), 1);
}

#[test]
fn a_reload_waits_for_no_database() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    let wanted = |group: &str, app: &str| Config {
        groups: vec![group.parse().unwrap()],
        app_ids: vec![app.parse().unwrap()],
        ..Config::default()
    };
    let config = wanted("g3", "one");
    globals.reload(&config);
    assert!(globals.read_groups().unwrap().contains(&config.groups[0]));
    globals.routes.close();
    let config = wanted("g4", "two");
    globals.reload(&config);
    assert!(globals.read_groups().is_err());
    assert_eq!(*globals.app_ids.read(), config.app_ids);
}

mod addresses;
mod clocks;
mod clusters;
mod log_lines;
mod routing;
