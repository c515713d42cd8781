//! An idserver in this process, and a client that speaks frames.

use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::Path;

use daemon::status::StatusConfig;
use db::DatabaseUrl;
use idserver::{Config, Idserver, Settings};
use proto::Fault;
use proto::idserver::{IdRequest, decode_id, decode_ids};
use test_peers::wire;

pub fn config(database: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        status: StatusConfig::off(),
        ..Config::of(Settings {
            hostname: "vm".parse().unwrap(),
            database: DatabaseUrl::Sqlite(database.to_owned()),
            ..Settings::default()
        })
    }
}

pub fn start(config: Config) -> Idserver {
    Idserver::start(config).unwrap()
}

pub struct Client(TcpStream);

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        Client(wire::connect(addr))
    }

    /// Sends these bytes and takes one reply, head and body.
    pub fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        wire::exchange(&mut self.0, request)
    }

    pub fn get_id(&mut self, key: &str) -> Result<u64, Fault> {
        self.ask(&IdRequest::GetId(key.parse().unwrap()))
            .map(|body| decode_id(&body).unwrap())
    }

    pub fn get_ids(&mut self, key: &str, count: u16) -> Range<u64> {
        let reply = self.ask(&IdRequest::GetIds(key.parse().unwrap(), count));
        decode_ids(&reply.unwrap()).unwrap()
    }

    fn ask(&mut self, request: &IdRequest) -> Result<Vec<u8>, Fault> {
        wire::result_of(&self.exchange(&request.encode()))
    }
}
