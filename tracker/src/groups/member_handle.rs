//! Beats, reports and leaves of the member that joined on a connection. Only the latest connection that joined
//! may change a member.

use std::net::IpAddr;
use std::sync::Arc;

use proto::report::Report;
use proto::tracker::Member as Name;
use proto::{GroupName, NodeId};

use super::{Groups, Member, Now, Reachability, State};

/// Identifies a member and one of its joins; a connection keeps it.
#[derive(Debug, Clone)]
pub(crate) struct MemberHandle {
    pub(super) group: GroupName,
    pub(super) number: u64,
    pub(super) join_number: u64,
}

impl MemberHandle {
    pub(crate) fn group(&self) -> &GroupName {
        &self.group
    }
}

impl Groups {
    /// The member called `name` at `ip`, if there is exactly one. It is of the C++ system: a member with a node
    /// id beats on the connection that joined.
    pub(crate) fn find(&self, name: &Name, ip: IpAddr) -> Option<MemberHandle> {
        let group = self.groups.get(&name.group)?;
        let at_ip = group.by_addr.range((ip, 0)..=(ip, u16::MAX));
        let mut found = at_ip
            .filter_map(|(_, number)| Some((*number, self.members.get(number)?)))
            .filter(|(_, member)| member.join.member.hostname == name.hostname)
            .filter(|(_, member)| member.node.is_none());
        let (number, member) = found.next()?;
        let handle = MemberHandle {
            group: name.group.clone(),
            number,
            join_number: member.join_number,
        };
        found.next().is_none().then_some(handle)
    }

    /// Records a beat. Returns the member as it was before; None when it is gone or has joined again on
    /// another connection.
    pub(crate) fn beat(&mut self, handle: &MemberHandle, now: Now) -> Option<Member> {
        let member = self.member_of(handle)?;
        let before = member.clone();
        member.heard = now.elapsed;
        member.beat_time = now.epoch;
        member.has_beaten = true;
        member.state = State::Active;
        let number = handle.number;
        self.offline.remove(&(before.heard, number));
        self.never_beat.remove(&number);
        self.groups.get_mut(&handle.group)?.activate(number);
        if before.state == State::Offline && before.reachability != Reachability::Assumed {
            self.probe_queue.set(number, now.elapsed);
        }
        Some(before)
    }

    /// Records a report. Returns the same as [`Groups::beat`].
    pub(crate) fn report(
        &mut self,
        handle: &MemberHandle,
        report: Arc<Report>,
        now: Now,
    ) -> Option<Member> {
        let member = self.member_of(handle)?;
        let before = member.clone();
        member.clock_skew = match report.time {
            0 => 0,
            time => time.saturating_sub(now.epoch),
        };
        member.report = Some(report);
        Some(before)
    }

    /// Removes a member that leaves. Does nothing when it is gone or has joined again on another connection.
    pub(crate) fn leave(&mut self, handle: &MemberHandle) -> Option<Member> {
        self.member_of(handle)?;
        self.remove(handle.number)
    }

    /// The member as another connection joined it later: at the same address, or as the same node.
    pub(crate) fn successor(
        &self,
        handle: &MemberHandle,
        node: Option<&NodeId>,
    ) -> Option<&Member> {
        let here = self.members.get(&handle.number);
        let elsewhere = || self.members.get(self.by_node.get(node?)?);
        let member = here.or_else(elsewhere)?;
        (member.join_number > handle.join_number).then_some(member)
    }
}
