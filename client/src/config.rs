//! Settings of a client, as plain values.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::Address;

use crate::PeerKeys;

/// Settings of a [`Client`](crate::Client).
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The trackers. A request fails after each was tried. Host names are resolved at each connect.
    pub trackers: Vec<Address>,
    /// Settings of connections to trackers and storages.
    pub connection: ConnectionConfig,
    /// Settings of idle connections.
    pub pool: PoolConfig,
    /// How long the storages of a user are cached; zero disables the cache. Default 1 s.
    pub storage_cache: Duration,
    /// Reading of files whose storage is on this machine.
    pub local_reads: LocalReads,
}

impl ClientConfig {
    /// The defaults, with these trackers.
    pub fn new(trackers: Vec<Address>) -> ClientConfig {
        ClientConfig {
            trackers,
            connection: ConnectionConfig::default(),
            pool: PoolConfig::default(),
            storage_cache: Duration::from_secs(1),
            local_reads: LocalReads::default(),
        }
    }
}

/// Reading of files whose storage is on this machine and runs as the same user: the storage passes the open
/// file instead of its content.
#[derive(Debug, Clone)]
pub struct LocalReads {
    /// False if all content comes from storages. Default true.
    pub is_on: bool,
    /// Limit on threads that use disks at a time. At most half of them use one disk, and of another disk half of the
    /// rest: so many may be lost while disks hang. Beyond it, storages are asked for the content. Default 64.
    pub threads: usize,
    /// Limit on open files that are kept for 5 s for the next request. Then call
    /// [`Client::close_expired`](crate::Client::close_expired) every few seconds. Default 0.
    pub kept_files: usize,
}

impl Default for LocalReads {
    fn default() -> LocalReads {
        LocalReads {
            is_on: true,
            threads: 64,
            kept_files: 0,
        }
    }
}

/// Settings of a [`Connection`](crate::Connection).
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Limit on the time for a connection, with the resolver and all resolved addresses. Not zero.
    /// Default 3 s.
    pub connect_timeout: Duration,
    /// Limit on the silence of a peer: on the time for a request and its reply, and on the time in which
    /// content moves below the minimum rate. Not zero. Default 30 s.
    pub io_timeout: Duration,
    /// The local address of connections; by default the system's choice.
    pub bind: Option<IpAddr>,
    /// The keys that connections prove and demand of servers. Default none.
    pub keys: Option<Arc<PeerKeys>>,
}

impl Default for ConnectionConfig {
    fn default() -> ConnectionConfig {
        ConnectionConfig {
            connect_timeout: Duration::from_secs(3),
            io_timeout: Duration::from_secs(30),
            bind: None,
            keys: None,
        }
    }
}

/// Limits on the idle connections of a [`ConnectionPool`](crate::ConnectionPool).
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Limit on idle connections to one address. Default 32.
    pub idle_max: usize,
    /// Limit on the idle time of a connection. It must be less than the servers' idle timeout of 5
    /// minutes, or connections are closed when they are reused. Default 60 s.
    pub idle_time: Duration,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            idle_max: 32,
            idle_time: Duration::from_secs(60),
        }
    }
}
