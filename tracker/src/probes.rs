//! Connects to members on threads of its own, each attempt with a timeout. Clients are not sent to members
//! that cannot be connected to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use client::{Connection, ConnectionConfig, Error};
use log::{debug, info, warn};

use crate::globals::Globals;
use crate::groups::MemberHandle;
use crate::log_lines::LogLine;

/// Threads, and so the most concurrent attempts.
const THREADS: usize = 4;
/// Longest time of one attempt.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time between two looks into an empty queue.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a stop waits for an attempt.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// Starts the threads, which run until the stop.
///
/// # Errors
/// The system refuses another thread.
pub(crate) fn start(globals: &Arc<Globals>, stop: &Stop) -> io::Result<Vec<Thread>> {
    let n_threads = if globals.config.check_addresses {
        THREADS
    } else {
        0
    };
    let start = |idx| {
        let (globals, stop) = (Arc::clone(globals), stop.clone());
        thread::spawn(&format!("probe-{idx}"), move || run(&globals, &stop))
    };
    (0..n_threads).map(start).collect()
}

/// Waits for the threads to end. An attempt that takes longer is left running; it does no harm.
pub(crate) fn join(threads: Vec<Thread>) {
    for name in thread::join_until(threads, Instant::now() + STOP_WAIT) {
        debug!("thread {name} did not end, it is left behind");
    }
}

fn run(globals: &Globals, stop: &Stop) {
    while !stop.is_tripped() {
        let next = globals.groups.lock().next_probe(globals.now().elapsed);
        match next {
            Some((handle, addr)) => probe(globals, &handle, addr),
            None => _ = stop.wait(CHECK_INTERVAL),
        }
    }
}

/// Connects to one address and records the outcome.
pub(crate) fn probe(globals: &Globals, handle: &MemberHandle, addr: SocketAddr) {
    let failure = connect(globals, addr).err().map(|error| reason(&error));
    let now = globals.now().elapsed;
    let changed = globals.groups.lock().end_probe(handle, failure, now);
    let Some(member) = changed else { return };
    let Some(more) = globals.log_lines.due(LogLine::Unreachable) else {
        return;
    };
    let name = &member.join.member;
    match member.unreachable_reason() {
        Some(why) => warn!(
            "{name}: {addr} cannot be connected to: {why}; clients are not sent there: is it the address \
             that clients use? See advertise{more}"
        ),
        None => info!("{addr} can be connected to: {name}{more}"),
    }
}

/// Connects from the tracker's own address if it is a specific one: on a host in several networks it
/// selects the network.
fn connect(globals: &Globals, addr: SocketAddr) -> Result<(), Error> {
    let ip = globals.config.listen.ip();
    let config = ConnectionConfig {
        connect_timeout: TIMEOUT,
        io_timeout: TIMEOUT,
        bind: (!ip.is_unspecified() && ip.is_ipv4() == addr.is_ipv4()).then_some(ip),
        ..ConnectionConfig::default()
    };
    Connection::connect(&addr.into(), &config).map(drop)
}

/// The cause without the address.
fn reason(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
