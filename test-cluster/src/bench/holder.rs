//! Connections that do nothing, held by a process of their own: one process may not have as many
//! open as four servers take.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::Context;

use super::child::Companion;
use super::row::{Better, Row};
use super::stand::Stand;
use super::stats::Summary;
use crate::limits::{connect_many, wait_accepted};
use crate::plan::Role;
use crate::proc;

/// Connections to each server.
pub(super) const COUNT: usize = 10_000;
/// Most memory they may cost each server, in MiB.
const MIB_MAX: f64 = 64.0;

/// Holds `count` connections to `addr` until the process is ended.
///
/// # Errors
/// There are not as many to be had.
pub fn hold(addr: SocketAddr, count: usize) -> anyhow::Result<()> {
    let _held: Vec<TcpStream> = connect_many(addr, count)?;
    loop {
        thread::park();
    }
}

/// The connections to all servers of a cluster.
pub(super) struct Idle {
    _holders: Vec<Companion>,
}

impl Idle {
    /// Makes them, and a row for the memory that they cost each server.
    pub(super) fn start(stand: &mut Stand, scratch: &Path) -> anyhow::Result<(Idle, Vec<Row>)> {
        let mut holders = Vec::new();
        let mut rows = Vec::new();
        for role in Role::ALL {
            let (addr, pid) = (stand.cluster.addresses(role)[0], stand.pid(role)?);
            let before = proc::figures(pid)?.rss_kib;
            let log = scratch.join(format!("idle-{}.log", role.as_str()));
            let args = ["hold".to_owned(), addr.to_string(), COUNT.to_string()];
            let holder = Companion::of_this_program(args, &log)?;
            wait_accepted(role.as_str(), pid, COUNT)
                .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
            holders.push(holder);
            let after = proc::figures(pid)?.rss_kib;
            let more = after.saturating_sub(before) as f64 / 1024.0;
            let limit = ("64 MiB", Summary::exactly(MIB_MAX));
            let name = format!("memory of {COUNT} idle connections, {}", role.as_str());
            let row = Row::new(name, "MiB", Better::Less, Summary::exactly(more), limit);
            rows.push(row.goal(1.0));
        }
        let idle = Idle { _holders: holders };
        Ok((idle, rows))
    }
}
