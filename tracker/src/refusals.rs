//! Storages that may not join: remembered for monitors, as they are in no list. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proto::cluster::Refused;

/// Most that are remembered; who tried last counts.
const REFUSALS_MAX: usize = 100;
/// One that does not try again is forgotten after this, in seconds: storages try every 2 s.
const KEPT_SECS: i64 = 60;

/// The last refusal of each address.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<IpAddr, Refused>);

impl Refusals {
    /// Takes note of one.
    pub(crate) fn note(&mut self, ip: IpAddr, text: String, time: i64) {
        self.expire(time);
        self.0.insert(ip, Refused { time, text });
        if self.0.len() > REFUSALS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, refused)| refused.time);
            if let Some(ip) = oldest.map(|(ip, _)| *ip) {
                self.0.remove(&ip);
            }
        }
    }

    /// One of this address was taken.
    pub(crate) fn forget(&mut self, ip: IpAddr) {
        self.0.remove(&ip);
    }

    /// Those of late, the latest first.
    pub(crate) fn list(&mut self, now: i64) -> Vec<Refused> {
        self.expire(now);
        let mut list: Vec<Refused> = self.0.values().cloned().collect();
        list.sort_by_key(|refused| -refused.time);
        list
    }

    fn expire(&mut self, now: i64) {
        self.0.retain(|_, refused| now - refused.time < KEPT_SECS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_refusals_are_kept_in_bounds() {
        let mut refusals = Refusals::default();
        for n in 0..=u8::MAX {
            refusals.note([10, 0, 0, n].into(), n.to_string(), i64::from(n) / 8);
        }
        let list = refusals.list(31);
        assert_eq!((list.len(), list[0].time), (REFUSALS_MAX, 31));
        refusals.forget([10, 0, 0, 255].into());
        assert_eq!(refusals.list(31).len(), REFUSALS_MAX - 1);
        assert_eq!(refusals.list(31 + KEPT_SECS), []);
    }
}
