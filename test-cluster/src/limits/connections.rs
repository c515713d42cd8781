//! Many connections that do nothing.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::proc;
use test_support::wait_for;

/// Longest wait for a connection, and for a server to accept them all.
const PATIENCE: Duration = Duration::from_secs(20);
/// Descriptors of a program beside those connections.
const OTHERS: u64 = 1000;

/// So many connections to `addr`.
///
/// # Errors
/// One is not to be had, or so many descriptors are not allowed.
pub(crate) fn connect_many(addr: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    allow_descriptors(count as u64 + OTHERS)?;
    let connect = |_| TcpStream::connect_timeout(&addr, PATIENCE);
    let streams = (0..count).map(connect).collect::<Result<_, _>>();
    streams.with_context(|| format!("cannot hold {count} connections to {addr}"))
}

/// Waits until a server has accepted so many: until then they may still be the kernel's, and cost
/// the server nothing.
///
/// # Errors
/// It does not.
pub(crate) fn wait_accepted(role: &str, pid: u32, count: usize) -> anyhow::Result<()> {
    wait_for("the idle connections to be accepted", PATIENCE, || {
        let n_open = proc::open_descriptors(pid).unwrap_or(0);
        if n_open >= count {
            return Ok(());
        }
        Err(format!("{n_open} descriptors in {role}"))
    })
}

/// Lets this process, and those that it starts from now on, have so many descriptors.
pub(crate) fn allow_descriptors(count: u64) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    limit.current = Some(count);
    setrlimit(Resource::Nofile, limit)
        .with_context(|| format!("{count} open files are not allowed here"))
}
