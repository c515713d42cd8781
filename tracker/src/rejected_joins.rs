//! Storages whose joins were rejected, for monitors: no list of members has them. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proto::NodeId;
use proto::cluster::RejectedJoin;

/// Most storages that are remembered; the one with the oldest attempt goes first.
const REJECTED_MAX: usize = 100;
/// Seconds after which a storage is forgotten that does not try again. Storages try every 2 s.
const KEPT_SECS: i64 = 60;

/// Identifies a storage; several storages may come from one address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerIdentity {
    pub(crate) ip: IpAddr,
    /// The port it listens on.
    pub(crate) port: u16,
    /// A C++ storage has none.
    pub(crate) node: Option<NodeId>,
}

/// The latest rejection of each storage.
#[derive(Debug, Default)]
pub(crate) struct RejectedJoins(BTreeMap<PeerIdentity, RejectedJoin>);

impl RejectedJoins {
    /// Records a rejection. Returns true when the storage or the reason is new.
    pub(crate) fn note(&mut self, peer: PeerIdentity, text: &str, time: i64) -> bool {
        self.expire(time);
        let text = text.to_owned();
        let before = self.0.insert(
            peer,
            RejectedJoin {
                time,
                text: text.clone(),
            },
        );
        if self.0.len() > REJECTED_MAX {
            let oldest = self.0.iter().min_by_key(|(_, refused)| refused.time);
            if let Some(peer) = oldest.map(|(peer, _)| peer.clone()) {
                self.0.remove(&peer);
            }
        }
        before.is_none_or(|before| before.text != text)
    }

    /// Removes a storage that has joined, also under another port or node id.
    pub(crate) fn forget(&mut self, peer: &PeerIdentity) {
        let same = |other: &PeerIdentity| {
            let is_node = peer.node.is_some() && other.node == peer.node;
            other.ip == peer.ip && (other.port == peer.port || is_node)
        };
        self.0.retain(|other, _| !same(other));
    }

    /// The recent rejections, latest first.
    pub(crate) fn list(&mut self, now: i64) -> Vec<RejectedJoin> {
        self.expire(now);
        let mut list: Vec<RejectedJoin> = self.0.values().cloned().collect();
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

    fn peer(host: u8, port: u16) -> PeerIdentity {
        PeerIdentity {
            ip: [10, 0, 0, host].into(),
            port,
            node: Some(format!("n{port}").parse().unwrap()),
        }
    }

    #[test]
    fn the_last_refusals_are_kept_in_bounds() {
        let mut rejected_joins = RejectedJoins::default();
        for n in 0..=u8::MAX {
            rejected_joins.note(peer(n, 1), &n.to_string(), i64::from(n) / 8);
        }
        let list = rejected_joins.list(31);
        assert_eq!((list.len(), list[0].time), (REJECTED_MAX, 31));
        rejected_joins.forget(&peer(255, 1));
        assert_eq!(rejected_joins.list(31).len(), REJECTED_MAX - 1);
        assert_eq!(rejected_joins.list(31 + KEPT_SECS), []);
    }

    #[test]
    fn each_storage_of_an_address_has_its_own_and_only_what_changes_is_new() {
        let mut rejected_joins = RejectedJoins::default();
        assert!(rejected_joins.note(peer(1, 1), "taken", 0));
        assert!(rejected_joins.note(peer(1, 2), "taken", 0));
        assert!(!rejected_joins.note(peer(1, 1), "taken", 2));
        assert!(rejected_joins.note(peer(1, 1), "in use", 4));
        assert_eq!(rejected_joins.list(4).len(), 2);
        // It is taken with another id, or at another port.
        let other = PeerIdentity {
            node: None,
            ..peer(1, 1)
        };
        rejected_joins.forget(&other);
        assert_eq!(rejected_joins.list(4).len(), 1);
        assert!(rejected_joins.note(peer(1, 1), "in use", 4));
    }
}
