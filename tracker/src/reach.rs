//! Tries whether members can be connected to, off the way of requests: a few threads, each try with
//! a time-out. Members that cannot be are not offered to clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use client::{Connection, ConnectionConfig, Error};
use log::{debug, info, warn};

use crate::globals::Globals;
use crate::groups::Ticket;
use crate::lines::Line;

/// Threads that try, and so the most tries at a time.
const THREADS: usize = 4;
/// Longest time of one try.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked who is to be tried.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for a try at the stop.
const GOODBYE: Duration = Duration::from_secs(1);

/// Starts trying, until the stop.
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
        thread::spawn(&format!("reach-{idx}"), move || work(&globals, &stop))
    };
    (0..n_threads).map(start).collect()
}

/// Waits for the threads to end; a try that takes longer is left behind, it does no harm.
pub(crate) fn join(threads: Vec<Thread>) {
    for name in thread::join_until(threads, Instant::now() + GOODBYE) {
        debug!("thread {name} did not end, it is left behind");
    }
}

fn work(globals: &Globals, stop: &Stop) {
    while !stop.is_tripped() {
        let next = globals.groups.lock().next_try(globals.now().elapsed);
        match next {
            Some((ticket, addr)) => try_one(globals, &ticket, addr),
            None => _ = stop.wait(LOOK),
        }
    }
}

/// Tries one address, and takes note of the outcome.
pub(crate) fn try_one(globals: &Globals, ticket: &Ticket, addr: SocketAddr) {
    let failure = connect(globals, addr).err().map(|error| reason(&error));
    let now = globals.now().elapsed;
    let turned = globals.groups.lock().tried(ticket, failure, now);
    let Some(member) = turned else { return };
    let Some(more) = globals.lines.due(Line::Unreachable) else {
        return;
    };
    let name = &member.join.member;
    match member.why_unreachable() {
        Some(why) => warn!(
            "{}/{}: {addr} cannot be connected to: {why}; clients are not sent there: is it the address that clients use? See \
             advertise{more}",
            name.group, name.hostname
        ),
        None => info!(
            "{addr} can be connected to: {}/{}{more}",
            name.group, name.hostname
        ),
    }
}

/// A specific address of ours is the one to call from: of several networks it tells which.
fn connect(globals: &Globals, addr: SocketAddr) -> Result<(), Error> {
    let ip = globals.config.listen.ip();
    let config = ConnectionConfig {
        connect_timeout: TIMEOUT,
        io_timeout: TIMEOUT,
        bind: (!ip.is_unspecified() && ip.is_ipv4() == addr.is_ipv4()).then_some(ip),
    };
    Connection::connect(&addr.into(), &config).map(drop)
}

/// Why not, without the address.
fn reason(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
