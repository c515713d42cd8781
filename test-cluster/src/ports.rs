//! Free ports.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::bail;

/// Ports that this process has given to a cluster. Two tests that plan clusters at the same moment must
/// not get the same port before their daemons bind it.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// The first free port from `preferred` on, on the loopback address.
pub(crate) fn free_from(preferred: u16) -> anyhow::Result<SocketAddr> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for port in preferred.max(1)..=u16::MAX {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !given.contains(&port) && TcpListener::bind(addr).is_ok() {
            given.insert(port);
            return Ok(addr);
        }
    }
    bail!("no port from {preferred} on is free")
}
