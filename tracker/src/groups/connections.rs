//! What a connection may tell of the member that joined on it: that it lives, how it is, and that it
//! goes. Only the connection that joined last speaks for a member.

use std::net::IpAddr;
use std::sync::Arc;

use proto::report::Report;
use proto::tracker::Member as Name;
use proto::{GroupName, NodeId};

use super::{Groups, Member, Now, Reach, State};

/// What a connection keeps of the member that joined on it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(super) group: GroupName,
    pub(super) number: u64,
    pub(super) join_number: u64,
}

impl Ticket {
    /// The group that was joined.
    pub(crate) fn group(&self) -> &GroupName {
        &self.group
    }
}

impl Groups {
    /// The member that goes by `name` at `ip`, if exactly one does.
    pub(crate) fn find(&self, name: &Name, ip: IpAddr) -> Option<Ticket> {
        let group = self.groups.get(&name.group)?;
        let at_ip = group.by_addr.range((ip, 0)..=(ip, u16::MAX));
        let mut found = at_ip
            .filter_map(|(_, number)| Some((*number, group.members.get(number)?)))
            .filter(|(_, member)| member.join.member.hostname == name.hostname);
        let (number, member) = found.next()?;
        let ticket = Ticket {
            group: name.group.clone(),
            number,
            join_number: member.join_number,
        };
        found.next().is_none().then_some(ticket)
    }

    /// A member lives. Tells what was known of it before, nothing when it is not there any more or
    /// has joined again since on another connection.
    pub(crate) fn beat(&mut self, ticket: &Ticket, now: Now) -> Option<Member> {
        self.member_of(ticket)?;
        self.forget_silence(&ticket.group, ticket.number);
        self.unproven.remove(&ticket.number);
        let group = self.groups.get_mut(&ticket.group)?;
        let member = group.members.get_mut(&ticket.number)?;
        let before = member.clone();
        member.heard = now.elapsed;
        member.beat_time = now.epoch;
        member.has_beaten = true;
        group.set_state(ticket.number, State::Active);
        if before.state == State::Offline && before.reach != Reach::Believed {
            self.tries.set(ticket.number, &ticket.group, now.elapsed);
        }
        Some(before)
    }

    /// The member that joined on a connection, unless it has joined again since on another one.
    pub(super) fn member_of(&self, ticket: &Ticket) -> Option<&Member> {
        let member = self
            .groups
            .get(&ticket.group)?
            .members
            .get(&ticket.number)?;
        (member.join_number == ticket.join_number).then_some(member)
    }

    /// A member tells how it is. Tells what was known of it before, as [`Groups::beat`] does.
    pub(crate) fn report(
        &mut self,
        ticket: &Ticket,
        report: Arc<Report>,
        now: Now,
    ) -> Option<Member> {
        self.member_of(ticket)?;
        let group = self.groups.get_mut(&ticket.group)?;
        let member = group.members.get_mut(&ticket.number)?;
        let before = member.clone();
        member.clock_skew = match report.time {
            0 => 0,
            time => time.saturating_sub(now.epoch),
        };
        member.report = Some(report);
        Some(before)
    }

    /// A member goes. Nothing happens when it is not there any more, or has joined again since on
    /// another connection.
    pub(crate) fn leave(&mut self, ticket: &Ticket) -> Option<Member> {
        self.member_of(ticket)?;
        self.remove(&ticket.group, ticket.number)
    }

    /// The member as another connection joined it after this one: at the same address, or anywhere as
    /// the same node.
    pub(crate) fn successor(&self, ticket: &Ticket, node: Option<&NodeId>) -> Option<&Member> {
        let here = self.groups.get(&ticket.group);
        let here = here.and_then(|group| group.members.get(&ticket.number));
        let elsewhere = || {
            let (name, number) = self.by_node.get(node?)?;
            self.groups.get(name)?.members.get(number)
        };
        let member = here.or_else(elsewhere)?;
        (member.join_number > ticket.join_number).then_some(member)
    }

    /// A member is not silent any more.
    fn forget_silence(&mut self, name: &GroupName, number: u64) {
        let group = self.groups.get(name);
        if let Some(member) = group.and_then(|group| group.members.get(&number)) {
            self.offline.remove(&(member.heard, number));
        }
    }
}
