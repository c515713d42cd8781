//! Membership: one thread for each tracker joins, beats and, at the end, leaves.

mod card;
mod tie;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use client::ConnectionConfig;
use net::Server;
use parking_lot::Mutex;
use proto::Address;
use proto::tracker::Member;

use crate::clock::epoch_secs;
use crate::config::Config;
use crate::globals::{Globals, connection_config};

use card::Card;
use tie::Tie;

/// Longest wait for a tracker's answer: a stop waits for it, too.
const ANSWER: Duration = Duration::from_secs(5);

/// Longest time that leaving takes.
const GOODBYE: Duration = Duration::from_secs(5);

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
        leave(gone);
        Ok(())
    }

    /// Leaves every tracker's list, as far as they answer in time.
    pub(crate) fn leave(self) {
        leave(self.bonds);
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

fn leave(bonds: Vec<Bond>) {
    for bond in &bonds {
        bond.stop.trip();
    }
    let threads = bonds.into_iter().map(|bond| bond.thread);
    thread::join_or_leave(threads, Instant::now() + GOODBYE);
}
