//! A tracker in this process, and clients that speak frames from addresses of their own.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;

use daemon::status::StatusConfig;
use db::DatabaseUrl;
use proto::Fault;
use proto::cluster::Cluster;
use proto::group_list::{self, Group};
use proto::report::Report;
use proto::tracker::{Join, Member, Saddrs, SaddrsReply, TrackerRequest};
use socket2::{Domain, Socket, Type};
use test_peers::wire;
use test_support::{PATIENCE, wait_for};
use tracker::{Config, Settings, Tracker};

pub fn config(database: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        status: StatusConfig::off(),
        ..Config::of(Settings {
            hostname: "vm".parse().unwrap(),
            database: DatabaseUrl::Sqlite(database.to_owned()),
            // Nobody listens where the members of these tests say they do.
            check_addresses: false,
            ..Settings::default()
        })
    }
}

pub fn start(config: Config) -> Tracker {
    Tracker::start(config).unwrap()
}

pub fn member(group: &str, host: &str) -> Member {
    Member {
        group: group.parse().unwrap(),
        hostname: host.parse().unwrap(),
    }
}

pub struct Client(TcpStream);

impl Client {
    /// Connects from 127.0.0.`host`.
    pub fn connect(addr: SocketAddr, host: u8) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let ip = IpAddr::from([127, 0, 0, host]);
        socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
        socket.connect(&addr.into()).unwrap();
        Client(wire::with_timeouts(socket.into()))
    }

    /// Sends these bytes and takes one reply, head and body.
    pub fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        wire::exchange(&mut self.0, request)
    }

    pub fn call(&mut self, request: &TrackerRequest) -> Result<Vec<u8>, Fault> {
        wire::result_of(&self.exchange(&request.encode()))
    }

    pub fn join(&mut self, group: &str, port: u16) -> Result<Vec<u8>, Fault> {
        self.call(&TrackerRequest::Join(Join {
            version: "1.0".parse().unwrap(),
            member: member(group, "h"),
            port,
            start_time: 1,
            join_time: 2,
        }))
    }

    pub fn beat(&mut self, group: &str) -> Result<Vec<u8>, Fault> {
        self.call(&TrackerRequest::Beat(member(group, "h")))
    }

    pub fn report(&mut self, group: &str, report: &Report) -> Result<Vec<u8>, Fault> {
        let report = Box::new(report.clone());
        self.call(&TrackerRequest::Report(member(group, "h"), report))
    }

    pub fn cluster(&mut self) -> Cluster {
        Cluster::decode(&self.call(&TrackerRequest::Cluster).unwrap()).unwrap()
    }

    pub fn saddrs(&mut self, user: &str) -> Result<SaddrsReply, Fault> {
        let body = self.call(&TrackerRequest::Saddrs(Saddrs {
            app: "tnvideo".parse().unwrap(),
            user: user.parse().unwrap(),
            file: None,
        }))?;
        Ok(SaddrsReply::decode(&body).unwrap())
    }

    pub fn groups(&mut self) -> Vec<Group> {
        group_list::decode(&self.call(&TrackerRequest::Groups).unwrap()).unwrap()
    }

    /// Asks for the groups until they are as wanted, `again` before each time.
    pub fn wait_for(
        &mut self,
        mut again: impl FnMut(&mut Client),
        wanted: impl Fn(&[Group]) -> bool,
    ) {
        let check_members = || {
            again(self);
            let groups = self.groups();
            wanted(&groups).then_some(()).ok_or(format!("{groups:?}"))
        };
        wait_for("the groups", PATIENCE, check_members).unwrap();
    }
}
