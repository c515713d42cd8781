//! What a client can be told. Plain values: where they come from is the caller's business.

use std::net::IpAddr;
use std::time::Duration;

use proto::Address;

/// All a [`Client`](crate::Client) needs to know.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The trackers, each of which is tried before a question to them fails. Host names are
    /// resolved at each connect.
    pub trackers: Vec<Address>,
    /// How connections are made, to trackers and storages alike.
    pub connection: ConnectionConfig,
    /// How long unused connections are kept.
    pub pool: PoolConfig,
    /// How long the storages of a user are remembered; zero asks a tracker each time. Default 1 s.
    pub storage_cache: Duration,
}

impl ClientConfig {
    /// The defaults, with these trackers.
    pub fn new(trackers: Vec<Address>) -> ClientConfig {
        ClientConfig {
            trackers,
            connection: ConnectionConfig::default(),
            pool: PoolConfig::default(),
            storage_cache: Duration::from_secs(1),
        }
    }
}

/// How a [`Connection`](crate::Connection) is made and how long it waits.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Longest wait for a connection: for the system's resolver and for one of the resolved
    /// addresses to accept. Not zero. Default 3 s.
    pub connect_timeout: Duration,
    /// Longest wait in which not one byte is read or written; not zero. A peer that is gone is
    /// noticed at once, this is for one that is silent. Default 30 s.
    pub io_timeout: Duration,
    /// The local address to connect from; the system's choice if absent.
    pub bind: Option<IpAddr>,
}

impl Default for ConnectionConfig {
    fn default() -> ConnectionConfig {
        ConnectionConfig {
            connect_timeout: Duration::from_secs(3),
            io_timeout: Duration::from_secs(30),
            bind: None,
        }
    }
}

/// How many idle connections a [`PoolManager`](crate::PoolManager) keeps, and how long.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Most idle connections to one address; zero keeps none. Default 32.
    pub idle_max: usize,
    /// How long a connection may lie idle. Must be less than the servers' idle time-out, which is
    /// 5 minutes, or every reuse meets a closed connection. Default 60 s.
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
