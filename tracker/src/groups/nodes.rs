//! Node ids: of two members that live one alone has an id, and one alone an address of a group.

use std::net::SocketAddr;

use proto::tracker::Join;
use proto::{ErrorCode, Fault, GroupName, NodeId};

use super::{Groups, Member, State};

impl Groups {
    /// Sees to it that no other member has this node id or, in the group, this address. One that
    /// lives is in the right; who restarted, or is silent, makes way. Tells who did.
    pub(super) fn make_way(
        &mut self,
        node: &NodeId,
        addr: SocketAddr,
        join: &Join,
    ) -> Result<Option<Member>, Fault> {
        let at_addr = self.groups.get(&join.member.group).and_then(|group| {
            let number = group.at(addr)?;
            group.members.get(&number)
        });
        if let Some(other) = at_addr
            && other.node.as_ref().is_some_and(|other| other != node)
            && other.state != State::Offline
        {
            return Err(other.conflict(&format!("{addr} is taken, which node {node} wants")));
        }
        let Some((name, number)) = self.by_node.get(node).cloned() else {
            return Ok(None);
        };
        let other = self.groups.get(&name).and_then(|g| g.members.get(&number));
        let Some(other) = other.filter(|m| m.addr != addr || name != join.member.group) else {
            return Ok(None);
        };
        let is_same_process = other.join.start_time == join.start_time
            && other.join.member.hostname == join.member.hostname;
        if other.state != State::Offline && !is_same_process {
            let host = &join.member.hostname;
            return Err(other.conflict(&format!(
                "node id {node} of {host} at {addr} is in use (a copied machine?)"
            )));
        }
        self.forget_silence(&name, number);
        Ok(self.remove(&name, number))
    }

    /// A node id is free again, unless the member was entered anew with it.
    pub(super) fn forget_node(&mut self, member: &Member, number: u64, group: &GroupName) {
        if let Some(node) = &member.node
            && let Some((at, n)) = self.by_node.get(node)
            && (at, *n) == (group, number)
        {
            let still = self.groups.get(group).and_then(|g| g.members.get(&number));
            if still.is_none_or(|still| still.node.as_ref() != Some(node)) {
                self.by_node.remove(node);
            }
        }
    }
}

impl Member {
    /// The refusal of somebody who wants what this member has.
    fn conflict(&self, what: &str) -> Fault {
        let name = &self.join.member;
        let message = format!(
            "{what}: {}/{} at {} has it, and lives",
            name.group, name.hostname, self.addr
        );
        Fault::new(ErrorCode::Exists, message)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::tests::{INTERVAL, ip, join_at, now, place_of};
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
        let mut groups = Groups::new(10, INTERVAL);
        let first = groups.join(place_of("aa", 1), join_at(1, 1), now(0));
        groups.beat(&first.unwrap().ticket, now(1)).unwrap();
        let fault = groups
            .join(place_of("aa", 2), join_at(2, 2), now(4))
            .unwrap_err();
        assert_eq!(fault.code, ErrorCode::Exists);
        for part in ["aa", "127.0.0.2:1", "127.0.0.1:1", "g1/h1", "lives"] {
            assert!(fault.message.contains(part), "{fault}");
        }
        assert_eq!(addrs(&groups), [ip(1)]);
        assert_eq!(groups.check(now(40)).len(), 1);
        let second = groups
            .join(place_of("aa", 2), join_at(2, 2), now(41))
            .unwrap();
        assert_eq!(second.replaced.unwrap().addr.ip(), ip(1));
        assert_eq!((addrs(&groups), groups.len()), (vec![ip(2)], 1));
        // The id is free again when its member has left.
        groups.leave(&second.ticket).unwrap();
        groups
            .join(place_of("aa", 3), join_at(3, 3), now(42))
            .unwrap();
        assert_eq!(addrs(&groups), [ip(3)]);
    }

    #[test]
    fn a_process_whose_address_changed_replaces_its_old_entry_at_once() {
        let mut groups = Groups::new(1, INTERVAL);
        let first = groups.join(place_of("aa", 1), join_at(1, 7), now(0));
        groups.beat(&first.unwrap().ticket, now(1)).unwrap();
        let again = groups
            .join(place_of("aa", 2), join_at(1, 7), now(2))
            .unwrap();
        assert_eq!(again.replaced.unwrap().addr.ip(), ip(1));
        assert_eq!((addrs(&groups), groups.len()), (vec![ip(2)], 1));
        // Joining again where it is replaces nothing.
        let again = groups
            .join(place_of("aa", 2), join_at(1, 8), now(3))
            .unwrap();
        assert!(again.replaced.is_none() && !again.is_new);
    }

    #[test]
    fn two_nodes_at_one_address_are_not_taken_for_one_member() {
        let mut groups = Groups::new(10, INTERVAL);
        groups
            .join(place_of("aa", 1), join_at(1, 1), now(0))
            .unwrap();
        let fault = groups
            .join(place_of("bb", 1), join_at(2, 2), now(1))
            .unwrap_err();
        assert_eq!(fault.code, ErrorCode::Exists);
        assert!(fault.message.contains("g1/h1") && fault.message.contains("bb"));
        groups.check(now(40));
        groups
            .join(place_of("bb", 1), join_at(2, 2), now(41))
            .unwrap();
        assert_eq!(groups.len(), 1);
        groups
            .join(place_of("aa", 2), join_at(1, 3), now(42))
            .unwrap();
        assert_eq!(groups.len(), 2);
    }
}
