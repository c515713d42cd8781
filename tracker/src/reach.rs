//! Tries whether members can be connected to, off the way of requests: a few threads, each try with
//! a time-out. Members that cannot be are not offered to clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::{Connection, ConnectionConfig, Error};
use crossbeam_channel::{Receiver, bounded};
use daemon::Stop;
use daemon::thread::{self, Thread};
use daemon::ticker::Ticker;
use log::{info, warn};

use crate::globals::Globals;
use crate::groups::Ticket;

/// Threads that try, and so the most tries at a time.
const THREADS: usize = 4;
/// Tries that wait for a thread; more wait for the next look.
const WAITING_MAX: usize = 64;
/// Longest time of one try.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked who is to be tried.
const LOOK: Duration = Duration::from_secs(1);

type Try = (Ticket, SocketAddr);

/// Starts trying, until the stop.
///
/// # Errors
/// The system refuses another thread.
pub(crate) fn start(globals: &Arc<Globals>, stop: &Stop) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    if !globals.config.check_addresses {
        return Ok(threads);
    }
    let (sender, tries) = bounded::<Try>(WAITING_MAX);
    for idx in 0..THREADS {
        let (globals, tries) = (Arc::clone(globals), tries.clone());
        threads.push(thread::spawn(&format!("reach-{idx}"), move || {
            work(&globals, &tries)
        })?);
    }
    let globals = Arc::clone(globals);
    // It owns the sender: when it ends the others do.
    let ticker = Ticker::start("reach", LOOK, stop.clone(), move || {
        let room = WAITING_MAX - sender.len();
        let due = globals.groups.lock().to_try(globals.now().elapsed, room);
        for one in due {
            // What is in the queue or being tried comes twice at times: that costs a connection.
            let _ = sender.try_send(one);
        }
    })?;
    threads.push(ticker.into_thread());
    Ok(threads)
}

fn work(globals: &Globals, tries: &Receiver<Try>) {
    for (ticket, addr) in tries {
        let failure = connect(globals, addr);
        let failure = failure.err().map(|error| reason(&error));
        let now = globals.now().elapsed;
        let turned = globals.groups.lock().tried(&ticket, failure, now);
        if let Some(member) = turned {
            let name = &member.join.member;
            match member.unreachable() {
                Some(why) => warn!(
                    "{}/{}: {why}; clients are not sent there: is it the address that clients \
                     use? See advertise",
                    name.group, name.hostname
                ),
                None => info!(
                    "{addr} can be connected to: {}/{}",
                    name.group, name.hostname
                ),
            }
        }
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
