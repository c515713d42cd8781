//! An idserver in this process, and a client that speaks frames.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use daemon::status::StatusConfig;
use db::DatabaseUrl;
use idserver::{Config, Idserver};
use proto::idserver::{IdRequest, decode_id, decode_ids};
use proto::{Fault, HEAD_LEN, Head};

/// Longest any of these tests waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn config(database: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        hostname: "vm".parse().unwrap(),
        database: DatabaseUrl::Sqlite(database.to_owned()),
        status: StatusConfig::off(),
        ..Config::default()
    }
}

pub fn start(config: Config) -> Idserver {
    Idserver::start(config).unwrap()
}

pub struct Client(TcpStream);

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).unwrap();
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

    pub fn get_id(&mut self, key: &str) -> Result<u64, Fault> {
        self.ask(&IdRequest::GetId(key.parse().unwrap()))
            .map(|body| decode_id(&body).unwrap())
    }

    pub fn get_ids(&mut self, key: &str, count: u16) -> Range<u64> {
        let reply = self.ask(&IdRequest::GetIds(key.parse().unwrap(), count));
        decode_ids(&reply.unwrap()).unwrap()
    }

    fn ask(&mut self, request: &IdRequest) -> Result<Vec<u8>, Fault> {
        let reply = self.exchange(&request.encode());
        let (head, body) = reply.split_at(HEAD_LEN);
        if Head::decode(head.first_chunk().unwrap()).is_ok() {
            Ok(body.to_vec())
        } else {
            Err(Fault::decode(body).unwrap())
        }
    }
}
