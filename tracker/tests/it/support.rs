//! A tracker in this process, and clients that speak frames from addresses of their own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use daemon::status::StatusConfig;
use db::DatabaseUrl;
use proto::cluster::Cluster;
use proto::group_list::{self, Group};
use proto::report::Report;
use proto::tracker::{Join, Member, Saddrs, SaddrsReply, TrackerRequest};
use proto::{Fault, HEAD_LEN, Head};
use socket2::{Domain, Socket, Type};
use tracker::{Config, Tracker};

/// Longest any of these tests waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn config(database: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        hostname: "vm".parse().unwrap(),
        database: DatabaseUrl::Sqlite(database.to_owned()),
        status: StatusConfig::off(),
        // Nobody listens where the members of these tests say they do.
        check_addresses: false,
        ..Config::default()
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
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    /// Sends these bytes and takes one reply, head and body.
    pub fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        self.0.write_all(request).unwrap();
        let mut reply = vec![0; HEAD_LEN];
        self.0.read_exact(&mut reply).unwrap();
        let head = Head::decode(reply.first_chunk().unwrap());
        reply.resize(HEAD_LEN + head.body_len as usize, 0);
        self.0.read_exact(&mut reply[HEAD_LEN..]).unwrap();
        reply
    }

    pub fn call(&mut self, request: &TrackerRequest) -> Result<Vec<u8>, Fault> {
        let reply = self.exchange(&request.encode());
        let (head, body) = reply.split_at(HEAD_LEN);
        if Head::decode(head.first_chunk().unwrap()).is_ok() {
            Ok(body.to_vec())
        } else {
            Err(Fault::decode(body).unwrap())
        }
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
        let deadline = Instant::now() + PATIENCE;
        loop {
            again(self);
            let groups = self.groups();
            if wanted(&groups) {
                return;
            }
            assert!(Instant::now() < deadline, "still {groups:?}");
        }
    }
}
