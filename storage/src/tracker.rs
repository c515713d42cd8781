//! Membership: one thread for each tracker joins, beats and, at the end, leaves.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Connection, ConnectionConfig, Error};
use daemon::Stop;
use daemon::net::{Connections, Server};
use daemon::thread::{self, Thread};
use log::{debug, info, warn};
use parking_lot::Mutex;
use proto::hello::Hello;
use proto::report::{Drain, Report};
use proto::tracker::{Join, Member, REPLY, TrackerRequest};
use proto::{Address, Version};

use crate::clock::epoch_secs;
use crate::config::Config;
use crate::globals::{Globals, connection_config};
use crate::report::report;

/// How soon a lost tracker is tried again (protocol.md, Frame).
const RECONNECT: Duration = Duration::from_secs(2);
/// Longest wait for a tracker's answer: a stop waits for it, too.
const ANSWER: Duration = Duration::from_secs(5);

/// Longest time that leaving takes.
const GOODBYE: Duration = Duration::from_secs(5);
/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_secs(1);
/// A tracker that does not know hellos and reports, a C++ one, is not sent any for this long.
const SPARE: Duration = Duration::from_secs(600);

/// The threads that keep this storage a member, one for each tracker.
pub(crate) struct Membership {
    card: Arc<Card>,
    bonds: Vec<Bond>,
}

/// The thread for one tracker.
struct Bond {
    tracker: Address,
    stop: Stop,
    thread: Thread,
}

/// What this storage tells each tracker.
struct Card {
    globals: Arc<Globals>,
    member: Member,
    port: u16,
    start_time: i64,
    connection: ConnectionConfig,
    connections: Connections,
    beat_interval: Mutex<Duration>,
}

/// What of a report trackers act on: told when it changes, the rest with each beat.
type Standing = (bool, Drain);

impl Membership {
    /// Joins every tracker; clients reach this storage at the port of `server`.
    pub(crate) fn start(globals: &Arc<Globals>, server: &Server) -> std::io::Result<Membership> {
        let config = &globals.config;
        let card = Arc::new(Card {
            globals: Arc::clone(globals),
            member: Member {
                group: config.group.clone(),
                hostname: config.hostname.clone(),
            },
            port: server.addr().port(),
            start_time: epoch_secs(),
            connections: server.connections(),
            beat_interval: Mutex::new(config.beat_interval.duration()),
            connection: ConnectionConfig {
                io_timeout: ANSWER,
                ..connection_config(config)
            },
        });
        let mut membership = Membership {
            card,
            bonds: Vec::new(),
        };
        membership.change(config)?;
        Ok(membership)
    }

    /// Leaves the trackers that are no longer in the configuration, joins those that are new, and
    /// beats as often as it says.
    pub(crate) fn change(&mut self, config: &Config) -> std::io::Result<()> {
        *self.card.beat_interval.lock() = config.beat_interval.duration();
        let trackers = &config.trackers;
        for tracker in trackers {
            if !self.bonds.iter().any(|bond| bond.tracker == *tracker) {
                self.bonds.push(Bond::join(&self.card, tracker)?);
            }
        }
        let bonds = std::mem::take(&mut self.bonds);
        let (kept, gone) = bonds
            .into_iter()
            .partition(|bond| trackers.contains(&bond.tracker));
        self.bonds = kept;
        for name in leave(gone) {
            warn!("thread {name} did not end, it is left behind");
        }
        Ok(())
    }

    /// Leaves every tracker's list, as far as they answer in time; tells the threads that did not
    /// end.
    pub(crate) fn leave(self) -> Vec<String> {
        leave(self.bonds)
    }
}

impl Bond {
    fn join(card: &Arc<Card>, tracker: &Address) -> std::io::Result<Bond> {
        let (stop, card) = (Stop::new(), Arc::clone(card));
        card.globals.ties.add(tracker);
        let (thread_stop, mut tie) = (stop.clone(), Tie::new(card, tracker.clone()));
        let thread = thread::spawn(&format!("tracker {tracker}"), move || {
            tie.keep(&thread_stop);
            tie.card.globals.ties.remove(&tie.tracker);
        })?;
        Ok(Bond {
            tracker: tracker.clone(),
            stop,
            thread,
        })
    }
}

fn leave(bonds: Vec<Bond>) -> Vec<String> {
    for bond in &bonds {
        bond.stop.trip();
    }
    let threads = bonds.into_iter().map(|bond| bond.thread);
    thread::join_until(threads, Instant::now() + GOODBYE)
}

/// The membership at one tracker.
struct Tie {
    card: Arc<Card>,
    tracker: Address,
    /// Whether it was told of that the tracker is away.
    complained: bool,
    /// Since when the tracker is known not to know hellos and reports.
    refused: Option<Instant>,
}

impl Tie {
    fn new(card: Arc<Card>, tracker: Address) -> Tie {
        Tie {
            card,
            tracker,
            complained: false,
            refused: None,
        }
    }

    /// Stays a member until the stop. A tracker that is away is told of once.
    fn keep(&mut self, stop: &Stop) {
        while !stop.is_tripped() {
            let globals = Arc::clone(&self.card.globals);
            match self.be_member(stop) {
                Ok(()) => globals
                    .ties
                    .broke(&self.tracker, "closed the connection".to_owned()),
                Err(e) => {
                    let e = anyhow::Error::from(e);
                    globals.ties.broke(&self.tracker, format!("{e:#}"));
                    if !std::mem::replace(&mut self.complained, true) {
                        warn!("tracker {}: {:#}", self.tracker, e);
                    }
                }
            }
            if stop.wait(RECONNECT) {
                return;
            }
        }
    }

    /// One connection's worth of membership: ends in order at the stop, else with what broke it.
    fn be_member(&mut self, stop: &Stop) -> Result<(), Error> {
        let card = Arc::clone(&self.card);
        let mut connection = self.introduce()?;
        card.join(&mut connection)?;
        self.complained = false;
        info!(
            "tracker {}: joined group {}",
            self.tracker, card.member.group
        );
        loop {
            match card.beat(&mut connection) {
                // It has forgotten us: a tracker that was started anew, perhaps behind a proxy.
                Err(Error::Fault { .. }) => {
                    card.join(&mut connection)?;
                    card.beat(&mut connection)?;
                }
                beaten => beaten?,
            }
            card.globals.ties.beat(&self.tracker);
            let mut told = self.report(&mut connection)?;
            let beaten = Instant::now();
            loop {
                // It may be changed while it is waited for.
                let interval = *card.beat_interval.lock();
                let left = interval.saturating_sub(beaten.elapsed());
                if left.is_zero() {
                    break;
                }
                // Nothing was asked: what can be read is the end of the connection.
                if connection.is_readable() {
                    info!("tracker {}: closed the connection", self.tracker);
                    return Ok(());
                }
                // Perhaps it knows more by now.
                if self.refused.is_some_and(|at| at.elapsed() >= SPARE) {
                    return Ok(());
                }
                if card.standing() != told {
                    told = self.report(&mut connection)?;
                }
                if stop.wait(LOOK.min(left)) {
                    card.say_goodbye(&mut connection);
                    return Ok(());
                }
            }
        }
    }

    /// A connection on which the tracker was told who will join, if it listens to that.
    fn introduce(&mut self) -> Result<Connection, Error> {
        let connect = || Connection::connect(&self.tracker, &self.card.connection);
        let mut connection = connect()?;
        if self.refused.is_some_and(|at| at.elapsed() < SPARE) {
            return Ok(connection);
        }
        match self.card.hello(&mut connection) {
            Ok(()) => {
                self.refused = None;
                Ok(connection)
            }
            // A C++ tracker refuses and closes, or just closes.
            Err(Error::Fault { .. } | Error::Io { .. }) => {
                let connection = connect()?;
                if let Some(advertise) = &self.card.globals.config.advertise
                    && self.refused.is_none()
                {
                    let tracker = &self.tracker;
                    warn!(
                        "tracker {tracker} sends no clients to {advertise}: it is of the C++ system"
                    );
                }
                self.refused = Some(Instant::now());
                Ok(connection)
            }
            Err(e) => Err(e),
        }
    }

    /// Tells how this storage is; tells what of that trackers act on. A C++ tracker refuses and
    /// closes.
    fn report(&mut self, connection: &mut Connection) -> Result<Standing, Error> {
        let report = self.card.report();
        let standing = standing(&report);
        if self.refused.is_some() {
            return Ok(standing);
        }
        let request = TrackerRequest::Report(self.card.member.clone(), Box::new(report));
        let told = self.card.tell(connection, request);
        if matches!(told, Err(Error::Fault { .. })) {
            debug!("tracker {} takes no reports", self.tracker);
            self.refused = Some(Instant::now());
        }
        told.map(|()| standing)
    }
}

fn standing(report: &Report) -> Standing {
    (report.uploads, report.drain)
}

impl Card {
    fn join(&self, connection: &mut Connection) -> Result<(), Error> {
        let join = Join {
            version: version(),
            member: self.member.clone(),
            port: self.port,
            start_time: self.start_time,
            join_time: epoch_secs(),
        };
        self.tell(connection, TrackerRequest::Join(join))
    }

    /// Tells who this storage is, and where clients reach it.
    fn hello(&self, connection: &mut Connection) -> Result<(), Error> {
        let advertise = self.globals.config.advertise.clone();
        let hello = Hello {
            node: self.globals.identity.node.clone(),
            address: advertise.as_ref().and_then(resolve),
            advertise,
            local: connection.local_addr().ok().map(|addr| addr.ip()),
        };
        self.tell(connection, TrackerRequest::Hello(Box::new(hello)))
    }

    fn report(&self) -> Report {
        report(&self.globals, &self.connections, self.start_time)
    }

    fn standing(&self) -> Standing {
        (self.globals.takes_uploads(), self.globals.identity.drain())
    }

    fn beat(&self, connection: &mut Connection) -> Result<(), Error> {
        self.tell(connection, TrackerRequest::Beat(self.member.clone()))
    }

    /// A C++ tracker does not know the command; it finds out by our silence.
    fn say_goodbye(&self, connection: &mut Connection) {
        if let Err(e) = self.tell(connection, TrackerRequest::Leave(self.member.clone())) {
            debug!("not left in order: {:#}", anyhow::Error::from(e));
        }
    }

    fn tell(&self, connection: &mut Connection, request: TrackerRequest) -> Result<(), Error> {
        connection.call(&request.encode(), REPLY, 0).map(drop)
    }
}

/// The first address of a name, an IPv4 one if there is any: what a C++ client can use.
fn resolve(advertise: &Address) -> Option<SocketAddr> {
    let addrs: Vec<SocketAddr> = match advertise.as_str().to_socket_addrs() {
        Ok(addrs) => addrs.collect(),
        Err(e) => {
            warn!("advertise: {advertise} cannot be resolved: {e}");
            return None;
        }
    };
    let ipv4 = addrs.iter().find(|addr| addr.is_ipv4());
    ipv4.or(addrs.first()).copied()
}

/// What fits of this build's version in the six bytes of the field.
fn version() -> Version {
    let text = env!("CARGO_PKG_VERSION");
    Version::new(&text[..text.len().min(6)]).expect("a version number is a version")
}
