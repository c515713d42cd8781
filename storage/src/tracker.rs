//! Membership: one thread for each tracker joins, beats and, at the end, leaves.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Connection, ConnectionConfig, Error};
use daemon::Stop;
use daemon::thread::{self, Thread};
use log::{debug, info, warn};
use proto::tracker::{Join, Member, REPLY, TrackerRequest};
use proto::{Address, Version};

use crate::config::Config;
use crate::globals::connection_config;

/// How soon a lost tracker is tried again (protocol.md, Frame).
const RECONNECT: Duration = Duration::from_secs(2);
/// Longest wait for a tracker's answer: a stop waits for it, too.
const ANSWER: Duration = Duration::from_secs(5);

/// The threads that keep this storage a member.
pub(crate) struct Membership {
    stop: Stop,
    threads: Vec<Thread>,
}

/// What this storage tells each tracker.
struct Card {
    member: Member,
    port: u16,
    start_time: i64,
    beat_interval: Duration,
    connection: ConnectionConfig,
}

impl Membership {
    /// Joins every tracker; clients reach this storage at `port`.
    pub(crate) fn start(config: &Config, port: u16) -> std::io::Result<Membership> {
        let stop = Stop::new();
        let card = Arc::new(Card {
            member: Member {
                group: config.group.clone(),
                hostname: config.hostname.clone(),
            },
            port,
            start_time: now(),
            beat_interval: config.beat_interval.duration(),
            connection: ConnectionConfig {
                io_timeout: ANSWER,
                ..connection_config(config)
            },
        });
        let threads = config.trackers.iter().enumerate().map(|(idx, tracker)| {
            let (card, tracker, stop) = (Arc::clone(&card), tracker.clone(), stop.clone());
            thread::spawn(&format!("tracker-{idx}"), move || {
                card.keep(&tracker, &stop)
            })
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        Ok(Membership { stop, threads })
    }

    /// Leaves every tracker's list.
    pub(crate) fn leave(self) {
        self.stop.trip();
        self.threads.into_iter().for_each(Thread::join);
    }
}

impl Card {
    /// Stays a member of one tracker until the stop. A tracker that is away is told of once.
    fn keep(&self, tracker: &Address, stop: &Stop) {
        let mut complained = false;
        while !stop.is_tripped() {
            let mut joined = false;
            if let Err(e) = self.be_member(tracker, stop, &mut joined)
                && (joined || !complained)
            {
                warn!("tracker {tracker}: {:#}", anyhow::Error::from(e));
                complained = true;
            }
            if stop.wait(RECONNECT) {
                return;
            }
        }
    }

    /// One connection's worth of membership: ends in order at the stop, else with what broke it.
    fn be_member(&self, tracker: &Address, stop: &Stop, joined: &mut bool) -> Result<(), Error> {
        let mut connection = Connection::connect(tracker, &self.connection)?;
        self.join(&mut connection)?;
        *joined = true;
        info!("tracker {tracker}: joined group {}", self.member.group);
        loop {
            match self.beat(&mut connection) {
                // It has forgotten us: a tracker that was started anew, perhaps behind a proxy.
                Err(Error::Fault { .. }) => {
                    self.join(&mut connection)?;
                    self.beat(&mut connection)?;
                }
                beaten => beaten?,
            }
            if stop.wait(self.beat_interval) {
                self.say_goodbye(&mut connection);
                return Ok(());
            }
        }
    }

    fn join(&self, connection: &mut Connection) -> Result<(), Error> {
        let join = Join {
            version: version(),
            member: self.member.clone(),
            port: self.port,
            start_time: self.start_time,
            join_time: now(),
        };
        self.tell(connection, TrackerRequest::Join(join))
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

/// What fits of this build's version in the six bytes of the field.
fn version() -> Version {
    let text = env!("CARGO_PKG_VERSION");
    Version::new(&text[..text.len().min(6)]).expect("a version number is a version")
}

fn now() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
