//! Limits how often peers cause a lasting change, such as a row in a database.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::peer_host::one_host;

/// Number of peers at which the map is first swept.
const SWEEP_AT: usize = 1024;

/// How much is allowed within [`Limits::period`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For one peer: an IPv4 address, or the /64 network of an IPv6 address.
    pub per_peer: u32,
    /// For all peers together.
    pub in_all: u32,
    /// Time until an exhausted limit is whole again.
    pub period: Duration,
}

/// The exhausted limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// The limit of the peer.
    Peer,
    /// The limit of all peers together.
    All,
}

/// Token buckets: a limit may be used at once and is regained evenly over the period. Memory is bounded
/// by [`Limits::in_all`].
#[derive(Debug)]
pub struct Quota(Mutex<State>);

#[derive(Debug)]
struct State {
    limits: Limits,
    all: Bucket,
    peers: HashMap<IpAddr, Bucket>,
    sweep_at: usize,
}

/// The used part of one limit.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    used: f64,
    /// Time of `used`.
    at: Instant,
}

impl Quota {
    /// An unused quota.
    pub fn new(limits: Limits) -> Quota {
        Quota(Mutex::new(State {
            limits,
            all: Bucket {
                used: 0.0,
                at: Instant::now(),
            },
            peers: HashMap::new(),
            sweep_at: SWEEP_AT,
        }))
    }

    /// Replaces the limits; the used parts stay.
    pub fn reload(&self, limits: Limits) {
        self.0.lock().limits = limits;
    }

    /// Counts one more for `peer`.
    ///
    /// # Errors
    /// The exhausted limit; nothing is counted then.
    pub fn take(&self, peer: IpAddr) -> Result<(), Exhausted> {
        self.take_at(peer, Instant::now())
    }

    fn take_at(&self, peer: IpAddr, now: Instant) -> Result<(), Exhausted> {
        let mut state = self.0.lock();
        let limits = state.limits;
        let peer = one_host(peer);
        let fresh = Bucket { used: 0.0, at: now };
        let of_peer = state.peers.get(&peer).copied().unwrap_or(fresh);
        let of_peer = of_peer
            .plus_one(limits.per_peer, limits.period, now)
            .ok_or(Exhausted::Peer)?;
        let all = state.all.plus_one(limits.in_all, limits.period, now);
        state.all = all.ok_or(Exhausted::All)?;
        state.peers.insert(peer, of_peer);
        state.sweep(now);
        Ok(())
    }
}

impl State {
    /// Drops peers whose bucket is unused.
    fn sweep(&mut self, now: Instant) {
        if self.peers.len() < self.sweep_at {
            return;
        }
        let Limits {
            per_peer, period, ..
        } = self.limits;
        self.peers
            .retain(|_, bucket| bucket.used_at(per_peer, period, now) > 0.0);
        self.sweep_at = SWEEP_AT.max(2 * self.peers.len());
    }
}

impl Bucket {
    fn used_at(&self, limit: u32, period: Duration, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let regained = elapsed * f64::from(limit) / period.as_secs_f64();
        (self.used - regained).max(0.0)
    }

    fn plus_one(&self, limit: u32, period: Duration, now: Instant) -> Option<Bucket> {
        let used = self.used_at(limit, period, now) + 1.0;
        (used <= f64::from(limit)).then_some(Bucket { used, at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        per_peer: 2,
        in_all: 3,
        period: Duration::from_secs(60),
    };

    #[test]
    fn each_peer_and_all_together_have_a_limit_that_comes_back() {
        let (quota, began) = (Quota::new(LIMITS), Instant::now());
        let take = |peer: &str, secs| {
            let now = began + Duration::from_secs(secs);
            quota.take_at(peer.parse().unwrap(), now)
        };
        assert_eq!(take("10.0.0.1", 0), Ok(()));
        assert_eq!(take("::ffff:10.0.0.1", 0), Ok(()));
        assert_eq!(take("10.0.0.1", 0), Err(Exhausted::Peer));
        assert_eq!(take("2001:db8::1", 0), Ok(()));
        assert_eq!(take("2001:db8::2", 0), Err(Exhausted::All));
        // A third of the period brings one of three back for all, not yet one of two for the peer.
        assert_eq!(take("10.0.0.1", 21), Err(Exhausted::Peer));
        assert_eq!(take("2001:db8::2", 21), Ok(()));
        assert_eq!(take("2001:db8::3", 21), Err(Exhausted::Peer));
        assert_eq!(take("10.0.0.1", 600), Ok(()));
        quota.reload(Limits {
            per_peer: 1,
            ..LIMITS
        });
        assert_eq!(take("10.0.0.1", 601), Err(Exhausted::Peer));
    }

    #[test]
    fn peers_that_use_nothing_any_more_are_not_remembered() {
        let limits = Limits {
            in_all: u32::MAX,
            ..LIMITS
        };
        let (quota, began) = (Quota::new(limits), Instant::now());
        for n in 0..4 * SWEEP_AT as u32 {
            let peer = IpAddr::from(n.to_be_bytes());
            quota.take_at(peer, began + LIMITS.period * n).unwrap();
        }
        assert!(quota.0.lock().peers.len() <= SWEEP_AT);
    }
}
