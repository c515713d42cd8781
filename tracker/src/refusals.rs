//! Storages that may not join: remembered for monitors, as they are in no list. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proto::NodeId;
use proto::cluster::Refused;

/// Most that are remembered; who tried last counts.
const REFUSALS_MAX: usize = 100;
/// One that does not try again is forgotten after this, in seconds: storages try every 2 s.
const KEPT_SECS: i64 = 60;

/// Who may not join: several storages may come from one address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) ip: IpAddr,
    /// Where it listens.
    pub(crate) port: u16,
    /// A C++ storage has none.
    pub(crate) node: Option<NodeId>,
}

/// The last refusal of each storage.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<Who, Refused>);

impl Refusals {
    /// Takes note of one; tells whether it is new, or another one than before.
    pub(crate) fn note(&mut self, who: Who, text: &str, time: i64) -> bool {
        self.expire(time);
        let text = text.to_owned();
        let before = self.0.insert(
            who,
            Refused {
                time,
                text: text.clone(),
            },
        );
        if self.0.len() > REFUSALS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, refused)| refused.time);
            if let Some(who) = oldest.map(|(who, _)| who.clone()) {
                self.0.remove(&who);
            }
        }
        before.is_none_or(|before| before.text != text)
    }

    /// This one was taken, whoever else it was taken for.
    pub(crate) fn forget(&mut self, who: &Who) {
        let same = |other: &Who| {
            let is_node = who.node.is_some() && other.node == who.node;
            other.ip == who.ip && (other.port == who.port || is_node)
        };
        self.0.retain(|other, _| !same(other));
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

    fn who(host: u8, port: u16) -> Who {
        Who {
            ip: [10, 0, 0, host].into(),
            port,
            node: Some(format!("n{port}").parse().unwrap()),
        }
    }

    #[test]
    fn the_last_refusals_are_kept_in_bounds() {
        let mut refusals = Refusals::default();
        for n in 0..=u8::MAX {
            refusals.note(who(n, 1), &n.to_string(), i64::from(n) / 8);
        }
        let list = refusals.list(31);
        assert_eq!((list.len(), list[0].time), (REFUSALS_MAX, 31));
        refusals.forget(&who(255, 1));
        assert_eq!(refusals.list(31).len(), REFUSALS_MAX - 1);
        assert_eq!(refusals.list(31 + KEPT_SECS), []);
    }

    #[test]
    fn each_storage_of_an_address_has_its_own_and_only_what_changes_is_new() {
        let mut refusals = Refusals::default();
        assert!(refusals.note(who(1, 1), "taken", 0));
        assert!(refusals.note(who(1, 2), "taken", 0));
        assert!(!refusals.note(who(1, 1), "taken", 2));
        assert!(refusals.note(who(1, 1), "in use", 4));
        assert_eq!(refusals.list(4).len(), 2);
        // It is taken with another id, or at another port.
        let other = Who {
            node: None,
            ..who(1, 1)
        };
        refusals.forget(&other);
        assert_eq!(refusals.list(4).len(), 1);
        assert!(refusals.note(who(1, 1), "in use", 4));
    }
}
