//! Chooses the connection to close for another one.
//!
//! At the limit of a client its own connections are candidates, at the limit of the server those of the
//! client with the most. A search looks at all parked connections and keeps several candidates;
//! searches take only a small part of the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection_limit::Client;
use super::parking::{Parked, Parking};
use super::protocol::Protocol;

/// Candidates that one search keeps.
const CANDIDATES: usize = 256;
/// Searches whose candidates are kept.
const SEARCHES: usize = 64;
/// The pause after a search, as a multiple of its duration.
const PAUSE: u32 = 20;
/// Age at which a transfer may count as slow.
const SETTLED: Duration = Duration::from_secs(5);

/// The kind of connection that a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Victim {
    /// A connection that is allowed no request yet, see [`Protocol::is_stranger`].
    Stranger,
    /// A connection without a request, of one client or of any.
    Idle(Option<Client>),
    /// A transfer of a client below this rate, in bytes per second.
    Slow(Client, u64),
}

/// The candidates of earlier searches.
#[derive(Default)]
pub(crate) struct Evictor(Mutex<HashMap<Victim, Search>>);

struct Search {
    /// The best candidate is at the end.
    candidates: Vec<Candidate>,
    is_empty: bool,
    /// The earliest time of another search.
    next: Instant,
}

/// The least candidate is evicted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    is_known: bool,
    /// Bytes per second; 0 for an idle connection.
    rate: u64,
    last_request: Instant,
    id: u64,
}

impl Victim {
    /// The candidate that a parked connection is, if it is one.
    fn look<P: Protocol>(self, parked: &Parked<P>) -> Option<Candidate> {
        let connection = &parked.connection;
        let client = || Client::of(connection.peer);
        let is_wanted = match self {
            Victim::Stranger => connection.is_stranger,
            Victim::Idle(of) => parked.is_idle() && of.is_none_or(|of| of == client()),
            Victim::Slow(of, rate) => !parked.is_idle() && of == client() && is_slow(parked, rate),
        };
        is_wanted.then(|| Candidate {
            is_known: !connection.is_stranger,
            rate: if parked.is_idle() { 0 } else { rate(parked) },
            last_request: connection.last_request,
            id: connection.id,
        })
    }
}

fn is_slow<P: Protocol>(parked: &Parked<P>, below: u64) -> bool {
    parked.connection.last_request.elapsed() >= SETTLED && rate(parked) < below
}

/// Bytes per second since its request.
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
            is_empty: candidates.is_empty(),
            candidates,
            next: end + (end - began) * PAUSE,
        }
    }

    /// Takes out the best candidate that is unchanged.
    fn take<P: Protocol>(&mut self, victim: Victim, parking: &Parking<P>) -> Option<Parked<P>> {
        while let Some(candidate) = self.candidates.pop() {
            // Another thread may have served the connection since the search.
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
    /// True if the latest search has found victims of a kind, though [`Evictor::take`] may have taken all of them.
    pub(crate) fn has_found(&self, victim: Victim) -> bool {
        let searches = self.0.lock();
        let search = searches.get(&victim);
        search.is_some_and(|search| !search.is_empty)
    }

    /// Takes out the best victim of a kind.
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
