//! Conflicts between members: a node id, and an address of a group, belong to one live member.

use proto::tracker::Join;
use proto::{ErrorCode, Fault};

use super::{Groups, Member, MemberAddress, State};

impl Groups {
    /// Removes another member with this node id, if it may be removed, and returns it. A live member keeps
    /// its node id and its address; only its own process, from the same address, replaces it. An OFFLINE
    /// member is replaced by any, and one that [yields](Member::yields_to) by the storage at its address.
    ///
    /// # Errors
    /// Exists: another live member has the node id or the address.
    pub(super) fn resolve_conflicts(
        &mut self,
        address: &MemberAddress,
        join: &Join,
    ) -> Result<Option<Member>, Fault> {
        let at_addr = self.number_at(&join.member.group, address.addr);
        if let Some(other) = at_addr.and_then(|number| self.members.get(&number))
            && other.state != State::Offline
            && !other.yields_to(address)
            && let Some(why) = other.differs_from(address)
        {
            let addr = address.addr;
            return Err(other.conflict(&format!("{addr} is taken, and {why}")));
        }
        let Some(node) = &address.node else {
            return Ok(None);
        };
        let Some(number) = self.by_node.get(node).copied() else {
            return Ok(None);
        };
        let is_elsewhere = |m: &&Member| m.addr != address.addr || *m.group() != join.member.group;
        let Some(other) = self.members.get(&number).filter(is_elsewhere) else {
            return Ok(None);
        };
        let is_same_process = other.peer == address.peer
            && other.join.start_time == join.start_time
            && other.join.member.hostname == join.member.hostname;
        if other.state != State::Offline && !is_same_process {
            let (host, addr) = (&join.member.hostname, address.addr);
            let node = node.digest();
            return Err(other.conflict(&format!(
                "node {node} of {host} at {addr} is in use (a copied machine?)"
            )));
        }
        Ok(self.remove(number))
    }
}

impl Member {
    /// Why the storage that joins at this member's address is not this member; None when it is.
    fn differs_from(&self, address: &MemberAddress) -> Option<String> {
        match (&self.node, &address.node) {
            (Some(own), Some(other)) if own != other => {
                Some(format!("node {} wants it", other.digest()))
            }
            (Some(_), None) => Some("this does not say that it is the same node".to_owned()),
            _ if self.peer != address.peer => Some(format!("this comes from {}", address.peer)),
            _ => None,
        }
    }

    /// True when this member never beat and only says that it is reached at its address, and the other one
    /// connects from there: a stranger that joins again and again must not keep a storage from its address.
    fn yields_to(&self, address: &MemberAddress) -> bool {
        let is_claim = self.peer != self.addr.ip();
        !self.has_beaten && is_claim && address.peer == address.addr.ip()
    }

    /// The refusal of a storage that wants the node id or address of this member.
    fn conflict(&self, what: &str) -> Fault {
        let message = format!(
            "{what}: {} at {} has it, and lives",
            self.join.member, self.addr
        );
        Fault::new(ErrorCode::Exists, message)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::tests::{address, address_of, ip, join_at, limits, now};
    use super::*;

    fn addrs(groups: &Groups) -> Vec<IpAddr> {
        let members = groups
            .snapshot()
            .into_iter()
            .flat_map(|(_, members)| members);
        members.map(|member| member.addr.ip()).collect()
    }

    #[test]
    fn of_two_that_live_with_one_node_id_the_second_is_refused_until_the_first_is_silent() {
        let mut groups = Groups::new(limits(10));
        let first = groups.join(address_of("aa", 1), join_at(1, 1), now(0));
        groups.beat(&first.unwrap().handle, now(1)).unwrap();
        let fault = groups
            .join(address_of("aa", 2), join_at(2, 2), now(4))
            .unwrap_err();
        assert_eq!(fault.code, ErrorCode::Exists);
        let digest = node("aa").digest();
        for part in [
            digest.as_str(),
            "127.0.0.2:1",
            "127.0.0.1:1",
            "g1/h1",
            "lives",
        ] {
            assert!(fault.message.contains(part), "{fault}");
        }
        assert_eq!(addrs(&groups), [ip(1)]);
        assert_eq!(groups.check(now(40)).len(), 1);
        let second = groups
            .join(address_of("aa", 2), join_at(2, 2), now(41))
            .unwrap();
        assert_eq!(second.replaced.unwrap().addr.ip(), ip(1));
        assert_eq!((addrs(&groups), groups.len()), (vec![ip(2)], 1));
        // The id is free again when its member has left.
        groups.leave(&second.handle).unwrap();
        groups
            .join(address_of("aa", 3), join_at(3, 3), now(42))
            .unwrap();
        assert_eq!(addrs(&groups), [ip(3)]);
    }

    fn node(text: &str) -> proto::NodeId {
        text.parse().unwrap()
    }

    /// As node `aa`, from address `host`, to be listed at `addr`.
    fn advertised(host: u8, addr: (u8, u16)) -> MemberAddress {
        MemberAddress {
            addr: (ip(addr.0), addr.1).into(),
            ..address_of("aa", host)
        }
    }

    #[test]
    fn a_process_that_advertises_another_address_replaces_its_old_entry_at_once() {
        let mut groups = Groups::new(limits(1));
        let first = groups.join(advertised(1, (1, 1)), join_at(1, 7), now(0));
        groups.beat(&first.unwrap().handle, now(1)).unwrap();
        let again = groups
            .join(advertised(1, (2, 1)), join_at(1, 7), now(2))
            .unwrap();
        assert_eq!(again.replaced.unwrap().addr.ip(), ip(1));
        assert_eq!((addrs(&groups), groups.len()), (vec![ip(2)], 1));
        // Joining again where it is replaces nothing.
        let again = groups
            .join(advertised(1, (2, 1)), join_at(1, 8), now(3))
            .unwrap();
        assert!(again.replaced.is_none() && !again.is_new);
    }

    /// A peer that copies everything that the storage sends still has another address.
    #[test]
    fn the_place_of_a_member_that_lives_is_taken_from_its_own_address_only() {
        let mut groups = Groups::new(limits(10));
        let own = groups.join(advertised(1, (1, 1)), join_at(1, 7), now(0));
        let own = own.unwrap().handle;
        groups.beat(&own, now(1)).unwrap();
        let taken = [
            groups.join(advertised(9, (1, 1)), join_at(1, 7), now(2)),
            groups.join(advertised(9, (9, 1)), join_at(1, 7), now(2)),
            // Without a node id, from the same machine.
            groups.join(address(ip(1), 1), join_at(1, 7), now(2)),
        ];
        for taken in taken {
            assert_eq!(taken.unwrap_err().code, ErrorCode::Exists);
        }
        groups.beat(&own, now(3)).unwrap();
        assert_eq!((addrs(&groups), groups.len()), (vec![ip(1)], 1));
        // One of the C++ system has no node id to be known by.
        groups
            .join(address(ip(2), 1), join_at(2, 7), now(4))
            .unwrap();
        let stolen = groups.join(
            MemberAddress {
                peer: ip(9),
                ..address(ip(2), 1)
            },
            join_at(2, 7),
            now(4),
        );
        assert_eq!(stolen.unwrap_err().code, ErrorCode::Exists);
        // An OFFLINE member is replaced.
        groups.check(now(40));
        groups
            .join(advertised(9, (9, 1)), join_at(1, 8), now(41))
            .unwrap();
        groups
            .join(address(ip(1), 1), join_at(1, 7), now(41))
            .unwrap();
    }

    #[test]
    fn who_never_beats_does_not_keep_a_storage_from_its_own_address() {
        let mut groups = Groups::new(limits(10));
        let claim = |node: &str, peer: u8| MemberAddress {
            addr: (ip(1), 1).into(),
            ..address_of(node, peer)
        };
        for at in [0, 10, 20] {
            groups.join(claim("bb", 9), join_at(9, 1), now(at)).unwrap();
        }
        // Another stranger does not get it.
        let other = groups.join(claim("cc", 8), join_at(8, 1), now(21));
        assert_eq!(other.unwrap_err().code, ErrorCode::Exists);
        let own = groups.join(address_of("aa", 1), join_at(1, 1), now(21));
        let own = own.unwrap().handle;
        assert_eq!((addrs(&groups), groups.len()), (vec![ip(1)], 1));
        // Now it has the address, before its first beat too.
        for _ in 0..2 {
            let claimed = groups.join(claim("bb", 9), join_at(9, 1), now(22));
            assert_eq!(claimed.unwrap_err().code, ErrorCode::Exists);
            groups.beat(&own, now(22)).unwrap();
        }
        // A storage behind address translation keeps the address that it advertises once it beats.
        let far = MemberAddress {
            addr: (ip(7), 1).into(),
            ..address_of("dd", 6)
        };
        let far = groups.join(far, join_at(6, 1), now(23)).unwrap();
        groups.beat(&far.handle, now(23)).unwrap();
        let near = groups.join(address_of("ee", 7), join_at(7, 1), now(24));
        assert_eq!(near.unwrap_err().code, ErrorCode::Exists);
    }

    #[test]
    fn only_the_connection_that_joined_last_speaks_for_a_member() {
        let mut groups = Groups::new(limits(10));
        let join = |groups: &mut Groups, at| {
            let joined = groups.join(address_of("aa", 1), join_at(1, 7), now(at));
            joined.unwrap().handle
        };
        let old = join(&mut groups, 0);
        let new = join(&mut groups, 1);
        assert!(groups.beat(&old, now(2)).is_none());
        assert!(groups.report(&old, Default::default(), now(0)).is_none());
        assert!(groups.leave(&old).is_none());
        assert!(groups.beat(&new, now(2)).is_some());
        assert!(groups.report(&new, Default::default(), now(0)).is_some());
    }

    #[test]
    fn two_nodes_at_one_address_are_not_taken_for_one_member() {
        let mut groups = Groups::new(limits(10));
        groups
            .join(address_of("aa", 1), join_at(1, 1), now(0))
            .unwrap();
        let fault = groups
            .join(address_of("bb", 1), join_at(2, 2), now(1))
            .unwrap_err();
        assert_eq!(fault.code, ErrorCode::Exists);
        let digest = node("bb").digest();
        assert!(fault.message.contains("g1/h1") && fault.message.contains(digest.as_str()));
        groups.check(now(40));
        groups
            .join(address_of("bb", 1), join_at(2, 2), now(41))
            .unwrap();
        assert_eq!(groups.len(), 1);
        groups
            .join(address_of("aa", 2), join_at(1, 3), now(42))
            .unwrap();
        assert_eq!(groups.len(), 2);
    }
}
