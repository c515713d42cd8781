//! Which connection is closed to make room for another one.
//!
//! At a limit of one client its own connections make room, at a limit of the server those of the
//! client that has most. Finding the best ones looks at all connections that wait; so many are
//! remembered at a time, and never is more than a small part of the time spent looking.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::limit::Client;
use super::park::{Parked, Parking};
use super::protocol::Protocol;

/// Candidates that are remembered of one look.
const CANDIDATES: usize = 256;
/// Kinds of victims of which candidates are remembered.
const SEARCHES: usize = 64;
/// After a look the next one of its kind waits this many times as long as it took.
const PAUSE: u32 = 20;
/// A transfer has this long before it can be found slow.
const SETTLED: Duration = Duration::from_secs(5);

/// Which connections are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Victim {
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
    pub(crate) fn take<P: Protocol>(
        &self,
        victim: Victim,
        parking: &Parking<P>,
    ) -> Option<Parked<P>> {
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
