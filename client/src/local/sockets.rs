//! The Unix sockets of the storages on this machine, found through their TCP addresses.

use std::ffi::OsStr;
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::Address;
use proto::storage::{SOCKET_PATH_MAX, StorageRequest};

use crate::ConnectionPool;
use crate::call::Call;
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;

/// How long the path of a storage is remembered.
const REMEMBER_TIME: Duration = Duration::from_secs(600);
/// How long a storage without a path, or whose socket failed, is asked over TCP.
const FAILED_TIME: Duration = Duration::from_secs(10);
/// Limit on the time for the question.
const ASK_TIME: Duration = Duration::from_secs(1);
/// Limit on remembered storages.
const STORAGES_MAX: usize = 10_000;

/// The path of each known storage's Unix socket; none for a storage without one, or on another machine.
#[derive(Debug)]
pub(crate) struct LocalSockets(Mutex<ExpiringMap<Address, Option<PathBuf>>>);

impl Default for LocalSockets {
    fn default() -> LocalSockets {
        LocalSockets(Mutex::new(ExpiringMap::new(STORAGES_MAX)))
    }
}

impl LocalSockets {
    /// The path, if it is known.
    pub(crate) fn path(&self, address: &Address) -> Option<PathBuf> {
        self.0
            .lock()
            .get(address, Instant::now())
            .cloned()
            .flatten()
    }

    /// True if the storage is known to be on this machine.
    pub(crate) fn is_known(&self, address: &Address) -> bool {
        let known = self.0.lock();
        known
            .get(address, Instant::now())
            .is_some_and(Option::is_some)
    }

    /// Asks a storage on this machine for its path, unless the answer is remembered. True if it has one. Only
    /// one thread asks at a time; for the others there is no path meanwhile.
    pub(crate) fn find(&self, pool: &ConnectionPool, peer: Peer<'_>) -> bool {
        let now = Instant::now();
        {
            let mut known = self.0.lock();
            if let Some(path) = known.get(peer.address, now) {
                return path.is_some();
            }
            // A storage that has just started may open its socket a moment later.
            known.insert(peer.address.clone(), None, FAILED_TIME, now);
        }
        let Some(path) = ask(pool, peer) else {
            return false;
        };
        let (address, now) = (peer.address.clone(), Instant::now());
        let mut known = self.0.lock();
        known.insert(address, Some(path), REMEMBER_TIME, now);
        true
    }

    /// Uses TCP for a while.
    pub(crate) fn forget(&self, address: &Address) {
        let mut known = self.0.lock();
        known.insert(address.clone(), None, FAILED_TIME, Instant::now());
    }
}

/// The path of a storage's Unix socket. `None` if it has none, is on another machine, or does not answer.
fn ask(pool: &ConnectionPool, peer: Peer<'_>) -> Option<PathBuf> {
    let peer = Peer::new(peer.address, peer.limit.left().min(ASK_TIME));
    let connection = pool.get_within(peer).ok()?;
    let is_here = is_this_machine(connection.stream());
    pool.put(connection);
    if !is_here {
        return None;
    }
    let decode = |body: &[u8]| Ok(PathBuf::from(OsStr::from_bytes(body)));
    let call = Call::storage(&StorageRequest::LocalSocket, SOCKET_PATH_MAX, decode);
    let path = pool.call_on(ConnectionChoice::Any, peer, &call).ok()?;
    (!path.as_os_str().is_empty()).then_some(path)
}

/// True if both ends are on this machine: the kernel uses the called address of a machine as the caller's.
fn is_this_machine(stream: &TcpStream) -> bool {
    let ends = (stream.peer_addr(), stream.local_addr());
    let (Ok(peer), Ok(local)) = ends else {
        return false;
    };
    peer.ip().to_canonical().is_loopback() || peer.ip() == local.ip()
}
