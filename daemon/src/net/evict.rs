//! Room for a new connection: which of the others is closed for it.
//!
//! At a limit of one client its own connections make room, at a limit of the server those of the
//! client that has most. Finding the best ones looks at all connections that wait; so many are
//! remembered at a time, and never is more than a small part of the time spent looking.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::debug;
use parking_lot::Mutex;

use super::limit::{Client, Full, Permit};
use super::park::{Parked, Parking};
use super::protocol::Protocol;
use super::server::Shared;

/// Candidates that are remembered of one look.
const CANDIDATES: usize = 256;
/// Kinds of victims of which candidates are remembered.
const SEARCHES: usize = 64;
/// After a look the next one of its kind waits this many times as long as it took.
const PAUSE: u32 = 20;
/// A transfer has this long before it can be found slow.
const SETTLED: Duration = Duration::from_secs(5);
/// A transfer that moves less, in bytes a second, makes room for another connection of its client.
const SLOW_RATE: u64 = 16 << 10;
/// A client with more than one of so many connections of a full server loses its slowest transfer to
/// other clients.
const LARGE_SHARE: usize = 4;
/// Other threads may take the room that was made.
const TRIES: usize = 4;
/// Most connections that wait for a worker to close them, and whose room is used already.
const LEAVING_MAX: usize = 64;

/// Which connections are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Victim {
    /// Without a request, of a client or of any.
    Idle(Option<Client>),
    /// A transfer of a client that moves less than this.
    Slow(Client, u64),
}

/// What earlier looks found.
#[derive(Default)]
pub(crate) struct Evictor(Mutex<HashMap<Victim, Search>>);

struct Search {
    /// The best is last.
    candidates: Vec<Candidate>,
    /// No other look before this.
    next: Instant,
}

/// Orders by what is to be evicted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Bytes a second; 0 of one that is idle.
    rate: u64,
    last_request: Instant,
    id: u64,
}

impl Victim {
    /// What a connection that waits is as a victim of this kind.
    fn look<P: Protocol>(self, parked: &Parked<P>) -> Option<Candidate> {
        let connection = &parked.connection;
        let client = || Client::of(connection.peer);
        let is_wanted = match self {
            Victim::Idle(of) => parked.is_idle() && of.is_none_or(|of| of == client()),
            Victim::Slow(of, rate) => !parked.is_idle() && of == client() && is_slow(parked, rate),
        };
        is_wanted.then(|| Candidate {
            rate: if parked.is_idle() { 0 } else { rate(parked) },
            last_request: connection.last_request,
            id: connection.id,
        })
    }
}

fn is_slow<P: Protocol>(parked: &Parked<P>, below: u64) -> bool {
    parked.connection.last_request.elapsed() >= SETTLED && rate(parked) < below
}

/// Bytes a second since the request came.
fn rate<P: Protocol>(parked: &Parked<P>) -> u64 {
    let connection = &parked.connection;
    let millis = connection.last_request.elapsed().as_millis().max(1);
    let rate = u128::from(connection.moved) * 1000 / millis;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

impl Search {
    fn new<P: Protocol>(victim: Victim, parking: &Parking<P>) -> Search {
        let began = Instant::now();
        let mut candidates = parking.find(|parked| victim.look(parked));
        if candidates.len() > CANDIDATES {
            candidates.select_nth_unstable(CANDIDATES);
            candidates.truncate(CANDIDATES);
        }
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        let end = Instant::now();
        Search {
            candidates,
            next: end + (end - began) * PAUSE,
        }
    }

    /// Takes the best of the candidates that are still what they were.
    fn take<P: Protocol>(&mut self, victim: Victim, parking: &Parking<P>) -> Option<Parked<P>> {
        while let Some(candidate) = self.candidates.pop() {
            // Another thread may serve it, or has served it, since the look.
            let is_same = |parked: &Parked<P>| {
                let now = victim.look(parked);
                now.is_some_and(|now| now.last_request == candidate.last_request)
            };
            if let Some(parked) = parking.remove_if(candidate.id, is_same) {
                return Some(parked);
            }
        }
        None
    }
}

impl Evictor {
    /// Takes the best victim of a kind out of the parking.
    fn take<P: Protocol>(&self, victim: Victim, parking: &Parking<P>) -> Option<Parked<P>> {
        let mut searches = self.0.lock();
        if searches.len() >= SEARCHES {
            searches.clear();
        }
        if let Some(search) = searches.get_mut(&victim) {
            let taken = search.take(victim, parking);
            if taken.is_some() || Instant::now() < search.next {
                return taken;
            }
        }
        let mut search = Search::new(victim, parking);
        let taken = search.take(victim, parking);
        searches.insert(victim, search);
        taken
    }
}

impl<P: Protocol> Shared<P> {
    /// Counts a connection in; at a limit another one may have to make room.
    pub(crate) fn enter(&self, peer: SocketAddr) -> Option<Permit> {
        let client = Client::of(peer);
        let stands_for_many = self.protocol.stands_for_many(peer.ip());
        for _ in 0..TRIES {
            match self.limit.enter(client, stands_for_many) {
                Ok(permit) => return Some(permit),
                Err(Full::Client) if self.make_room_of(client) => {}
                Err(Full::Server) if self.make_room(Some(client)) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Closes a connection of the client, unless all of them move.
    fn make_room_of(&self, client: Client) -> bool {
        self.evict_idle(Some(client)) || self.break_off(client, SLOW_RATE)
    }

    /// Closes a connection for one of `newcomer`, or for want of descriptors: one that is idle, first
    /// of the client that has most; or a transfer of that client if it has a large part of them all.
    pub(crate) fn make_room(&self, newcomer: Option<Client>) -> bool {
        let Some((count, largest)) = self.limit.largest() else {
            return false;
        };
        let is_large = count.saturating_mul(LARGE_SHARE) > self.limit.connections_max();
        self.evict_idle(Some(largest))
            || (is_large && newcomer != Some(largest) && self.break_off(largest, u64::MAX))
            || self.evict_idle(None)
    }

    /// Closes the connection, of a client or of any, that has been idle for longest; false when none
    /// is.
    fn evict_idle(&self, of: Option<Client>) -> bool {
        let evicted = self.evictor.take(Victim::Idle(of), &self.parking);
        if let Some(parked) = &evicted {
            self.metrics().evicted.inc();
            debug!("#{}: closed, idle longest", parked.connection.id);
        }
        evicted.is_some()
    }

    /// Ends the slowest transfer of a client that moves less than `below`. A worker closes it: it may
    /// hold a file. False when there is none.
    fn break_off(&self, client: Client, below: u64) -> bool {
        if self.limit.leaving() >= LEAVING_MAX {
            return false;
        }
        let evicted = self
            .evictor
            .take(Victim::Slow(client, below), &self.parking);
        let Some(mut connection) = evicted.map(Parked::take) else {
            return false;
        };
        self.metrics().evicted.inc();
        debug!("#{}: broken off, the slowest of its client", connection.id);
        connection.permit.leave();
        connection.ended = true;
        self.hand_over(connection);
        true
    }
}
