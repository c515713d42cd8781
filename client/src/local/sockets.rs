//! The Unix sockets of the storages on this machine, found through their TCP addresses.

use std::ffi::OsString;
use std::net::TcpStream;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::Address;
use proto::storage::{self, LocalSocket, SocketId, StorageRequest};

use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Connection, ConnectionPool, Error};

/// How long the socket of a storage is remembered.
const REMEMBER_TIME: Duration = Duration::from_secs(600);
/// How long a storage without a socket, or whose socket failed, is asked over TCP.
const FAILED_TIME: Duration = Duration::from_secs(10);
/// Limit on remembered storages.
const STORAGES_MAX: usize = 10_000;

/// The Unix socket of each known storage; none for a storage without one, or on another machine.
#[derive(Debug)]
pub(crate) struct LocalSockets(Mutex<ExpiringMap<Address, Option<LocalSocket>>>);

impl Default for LocalSockets {
    fn default() -> LocalSockets {
        LocalSockets(Mutex::new(ExpiringMap::new(STORAGES_MAX)))
    }
}

impl LocalSockets {
    fn known<T>(&self, address: &Address, take: impl Fn(&LocalSocket) -> T) -> Option<T> {
        let known = self.0.lock();
        known.get(address, Instant::now())?.as_ref().map(take)
    }

    /// The path of the socket, if it is known.
    pub(crate) fn path(&self, address: &Address) -> Option<PathBuf> {
        self.known(address, |socket| {
            OsString::from_vec(socket.path.clone()).into()
        })
    }

    /// The id of the socket, if it is known.
    pub(crate) fn id(&self, address: &Address) -> Option<SocketId> {
        self.known(address, |socket| socket.id)
    }

    /// True if the storage is known to be on this machine.
    pub(crate) fn is_known(&self, address: &Address) -> bool {
        self.id(address).is_some()
    }

    /// Asks a storage on this machine for its socket, without waiting for the reply. `None` if the answer is
    /// remembered, or the storage is on another machine. Only one caller asks at a time; for the others there is
    /// no socket meanwhile.
    pub(crate) fn begin_ask(&self, pool: &ConnectionPool, peer: Peer<'_>) -> Option<Connection> {
        {
            let (mut known, now) = (self.0.lock(), Instant::now());
            if known.get(peer.address, now).is_some() {
                return None;
            }
            // A storage that has just started may open its socket a moment later.
            known.insert(peer.address.clone(), None, FAILED_TIME, now);
        }
        // The request that follows uses the connection, too.
        let connection = pool.get_within(peer).ok()?;
        let is_here = is_this_machine(connection.stream());
        pool.put(connection);
        let request = StorageRequest::LocalSocket.encode();
        is_here.then(|| pool.begin(ConnectionChoice::Any, peer, &request).ok())?
    }

    /// Reads the reply to [`LocalSockets::begin_ask`]. Waits for it, unless [`Connection::read_ahead`] has read it.
    pub(crate) fn finish_ask(&self, pool: &ConnectionPool, mut asked: Connection) {
        match read_reply(&mut asked) {
            Ok(socket) => {
                if socket.is_some() {
                    let (address, now) = (asked.address().clone(), Instant::now());
                    self.0.lock().insert(address, socket, REMEMBER_TIME, now);
                }
                pool.put(asked);
            }
            Err(error) => {
                log::debug!("Unix socket of {}: {}", asked.address(), error.chain());
                pool.put_after(asked, &error);
            }
        }
    }

    /// Uses TCP for a while.
    pub(crate) fn forget(&self, address: &Address) {
        let mut known = self.0.lock();
        known.insert(address.clone(), None, FAILED_TIME, Instant::now());
    }
}

fn read_reply(asked: &mut Connection) -> Result<Option<LocalSocket>, Error> {
    let body_len = asked.read_head(storage::REPLY)?;
    let body = asked.read_body(body_len, LocalSocket::LEN_MAX)?;
    LocalSocket::decode(&body).map_err(|error| asked.protocol_error(error.into()))
}

/// True if both ends are on this machine: the kernel uses the called address of a machine as the caller's. Also true
/// for a port of this machine that is forwarded to another one; the id of the socket tells that storage from others.
fn is_this_machine(stream: &TcpStream) -> bool {
    let ends = (stream.peer_addr(), stream.local_addr());
    let (Ok(peer), Ok(local)) = ends else {
        return false;
    };
    peer.ip().to_canonical().is_loopback() || peer.ip() == local.ip()
}
