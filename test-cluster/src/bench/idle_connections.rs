//! Connections without requests. A process for each server holds them, because one process may not
//! open as many descriptors as four servers need.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, getrlimit, setrlimit};
use test_support::wait_for;

use super::bench_cluster::BenchCluster;
use super::row::{Better, Row};
use super::server_process::ServerProcess;
use super::stats::Summary;
use crate::plan::Role;
use crate::proc;

/// Connections to each server.
pub(super) const COUNT: usize = 10_000;
/// Limit on their memory in each server, in MiB.
const MIB_MAX: f64 = 64.0;
/// Longest wait for a connection, and for a server to accept all connections.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Descriptors of a process beside the connections.
const OTHER_DESCRIPTORS: u64 = 1000;

/// Holds `count` connections to `addr` until the process is killed.
///
/// # Errors
/// The server or the limit of open files refuses a connection.
pub fn hold(addr: SocketAddr, count: usize) -> anyhow::Result<()> {
    allow_descriptors(count as u64 + OTHER_DESCRIPTORS)?;
    let connect = |_| TcpStream::connect_timeout(&addr, TIMEOUT);
    let connections = (0..count).map(connect).collect::<Result<Vec<_>, _>>();
    let _held =
        connections.with_context(|| format!("cannot hold {count} connections to {addr}"))?;
    loop {
        thread::park();
    }
}

/// Raises the limit on open files of this process and of the processes that it starts later.
///
/// # Errors
/// The hard limit is lower.
pub(super) fn allow_descriptors(count: u64) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    limit.current = Some(count);
    setrlimit(Resource::Nofile, limit)
        .with_context(|| format!("the system does not allow {count} open files"))
}

/// Connections to all servers of a cluster.
pub(super) struct IdleConnections {
    _holders: Vec<ServerProcess>,
}

impl IdleConnections {
    /// Opens the connections. Returns a row for their memory in each server.
    pub(super) fn open(
        target: &mut BenchCluster,
        scratch: &Path,
    ) -> anyhow::Result<(IdleConnections, Vec<Row>)> {
        let mut holders = Vec::new();
        let mut rows = Vec::new();
        for role in Role::ALL {
            let (addr, pid) = (
                target.cluster.addresses(role)[0],
                target.cluster.pid_of(role)?,
            );
            let before = proc::figures(pid)?.rss_kib;
            let log = scratch.join(format!("idle-{}.log", role.as_str()));
            let args = ["hold".to_owned(), addr.to_string(), COUNT.to_string()];
            let holder = ServerProcess::start_this_program(args, &log)?;
            wait_accepted(role, pid).with_context(|| holder.output())?;
            holders.push(holder);
            let after = proc::figures(pid)?.rss_kib;
            let mib = after.saturating_sub(before) as f64 / 1024.0;
            let limit = ("64 MiB", Summary::exactly(MIB_MAX));
            let name = format!("memory of {COUNT} idle connections, {}", role.as_str());
            let row = Row::new(name, "MiB", Better::Less, Summary::exactly(mib), limit);
            rows.push(row.goal(1.0));
        }
        Ok((IdleConnections { _holders: holders }, rows))
    }
}

/// Waits until a server has accepted all connections. Before that they cost only the kernel.
fn wait_accepted(role: Role, pid: u32) -> anyhow::Result<()> {
    wait_for("the idle connections to be accepted", TIMEOUT, || {
        let n_open = proc::open_descriptors(pid).unwrap_or(0);
        if n_open >= COUNT {
            return Ok(());
        }
        Err(format!("{n_open} descriptors in {}", role.as_str()))
    })
}
