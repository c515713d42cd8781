//! One function per command.

use std::net::Ipv4Addr;

use ::db::{DatabaseUrl, DbError};
use base::units::Period;
use net::{Part, PeerProbe};
use proto::admin::TrackerOrder;
use proto::cluster::Cluster;
use proto::group_list;
use proto::tracker::{BEAT, JOIN, LEAVE, Saddrs};
use proto::{Address, AppId, ClusterId, GroupName, NodeId, UserId};
use tempfile::TempDir;

use super::*;
use crate::config::{Config, Settings};
use crate::db;
use crate::status_view::StatusView;

/// The address that all connect to.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100)), 21000);

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
        let mut config = Config::of(Settings {
            database: DatabaseUrl::Sqlite(folder.path().join("tracker.db")),
            groups: ["g1", "g2"].map(|name| name.parse().unwrap()).to_vec(),
            ..Settings::default()
        });
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

    /// The connection of a member that joined and beat.
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
            is_local: false,
            peer: self.peer,
            local: LOCAL,
            probe: PeerProbe::default(),
            session: &mut self.session,
        }
    }

    fn call(&mut self, request: TrackerRequest) -> Result<Vec<u8>, Fault> {
        let service = self.service;
        let Reply::Body(parts) = service.call(request, &mut self.caller())? else {
            panic!("a tracker takes no content")
        };
        match &parts[..] {
            [Part::Bytes(body)] => Ok(body.clone()),
            [Part::Shared(body)] => Ok(body.to_vec()),
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
fn commands_that_may_take_long_use_the_slow_pool() {
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
fn an_unregistered_group_is_listed_and_only_registered_by_an_order_to_do_so() {
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
fn a_reload_waits_for_no_database() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    let wanted = |group: &str, app: &str| {
        Config::of(Settings {
            groups: vec![group.parse().unwrap()],
            app_ids: vec![app.parse().unwrap()],
            ..Settings::default()
        })
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
mod bindings;
mod clocks;
mod clusters;
mod log_lines;
mod monitoring;
mod routing;
mod takeover;
