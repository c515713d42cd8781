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
    /// The member called `name` at `ip`, if there is exactly one.
    pub(crate) fn find(&self, name: &Name, ip: IpAddr) -> Option<MemberHandle> {
        let group = self.groups.get(&name.group)?;
        let at_ip = group.by_addr.range((ip, 0)..=(ip, u16::MAX));
        let mut found = at_ip
            .filter_map(|(_, number)| Some((*number, group.members.get(number)?)))
            .filter(|(_, member)| member.join.member.hostname == name.hostname);
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
        self.member_of(handle)?;
        self.forget_silence(&handle.group, handle.number);
        self.never_beat.remove(&handle.number);
        let group = self.groups.get_mut(&handle.group)?;
        let member = group.members.get_mut(&handle.number)?;
        let before = member.clone();
        member.heard = now.elapsed;
        member.beat_time = now.epoch;
        member.has_beaten = true;
        group.set_state(handle.number, State::Active);
        if before.state == State::Offline && before.reachability != Reachability::Assumed {
            self.probe_queue
                .set(handle.number, &handle.group, now.elapsed);
        }
        Some(before)
    }

    /// The member, unless it has joined again on another connection.
    pub(super) fn member_of(&self, handle: &MemberHandle) -> Option<&Member> {
        let member = self
            .groups
            .get(&handle.group)?
            .members
            .get(&handle.number)?;
        (member.join_number == handle.join_number).then_some(member)
    }

    /// Records a report. Returns the same as [`Groups::beat`].
    pub(crate) fn report(
        &mut self,
        handle: &MemberHandle,
        report: Arc<Report>,
        now: Now,
    ) -> Option<Member> {
        self.member_of(handle)?;
        let group = self.groups.get_mut(&handle.group)?;
        let member = group.members.get_mut(&handle.number)?;
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
        self.remove(&handle.group, handle.number)
    }

    /// The member as another connection joined it later: at the same address, or as the same node.
    pub(crate) fn successor(
        &self,
        handle: &MemberHandle,
        node: Option<&NodeId>,
    ) -> Option<&Member> {
        let here = self.groups.get(&handle.group);
        let here = here.and_then(|group| group.members.get(&handle.number));
        let elsewhere = || {
            let (name, number) = self.by_node.get(node?)?;
            self.groups.get(name)?.members.get(number)
        };
        let member = here.or_else(elsewhere)?;
        (member.join_number > handle.join_number).then_some(member)
    }

    fn forget_silence(&mut self, name: &GroupName, number: u64) {
        let group = self.groups.get(name);
        if let Some(member) = group.and_then(|group| group.members.get(&number)) {
            self.offline.remove(&(member.heard, number));
        }
    }
}
