//! Which members can be connected to, as far as is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::GroupName;
use proto::report::Drain;

use super::{Groups, Member, State, Ticket};

/// Whether a member can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not tried yet.
    Untried,
    /// Never tried: who advertises the address connects from another network.
    Believed,
    /// It could.
    Good,
    /// It could not, so many times in a row.
    Bad {
        /// How often.
        times: u32,
        /// Why. It tells a stranger of the network of the tracker: it is for the tracker's own log and
        /// status port, never for a reply.
        why: Arc<str>,
    },
}

/// A member is not offered to clients after so many tries in a row that failed: one may be chance.
const BAD_TIMES: u32 = 2;
/// Time from one try to the next; after one that failed, and longer each time until that.
const RETRY_GOOD: Duration = Duration::from_secs(30);
const RETRY_BAD: Duration = Duration::from_secs(5);

impl Groups {
    /// Why ACTIVE members of a group are not offered: of the first one that cannot be connected to,
    /// or else of one that is drained.
    pub(crate) fn why_none(&self, group: &GroupName) -> Option<String> {
        let group = self.groups.get(group)?;
        let active = || group.active.iter().filter_map(|n| group.members.get(n));
        let drained = |member: &Member| {
            (member.drain() == Drain::All).then(|| format!("{} is drained", member.addr))
        };
        active()
            .find_map(Member::unreachable)
            .or_else(|| active().find_map(drained))
    }

    /// The first `max` ACTIVE members that cannot be connected to, and why.
    pub(crate) fn why_unreachable(&self, max: usize) -> Vec<(SocketAddr, String)> {
        let active = self.groups.values().flat_map(|group| {
            let active = group.active.iter();
            active.filter_map(|number| group.members.get(number))
        });
        let unreachable = active.filter_map(|m| Some((m.addr, m.why_unreachable()?.to_owned())));
        unreachable.take(max).collect()
    }

    /// The member that is to be tried now; it is not named again before [`Groups::tried`].
    pub(crate) fn next_try(&mut self, now: Duration) -> Option<(Ticket, SocketAddr)> {
        let (group, number) = self.tries.next(now)?;
        let member = self.groups.get(&group)?.members.get(&number)?;
        let ticket = Ticket {
            group,
            number,
            join_number: member.join_number,
        };
        Some((ticket, member.addr))
    }

    /// A member's address was tried: `failure` tells why it cannot be connected to. Tells of the
    /// member when that turned what is known of it.
    pub(crate) fn tried(
        &mut self,
        ticket: &Ticket,
        failure: Option<String>,
        now: Duration,
    ) -> Option<Member> {
        let group = self.groups.get_mut(&ticket.group)?;
        let member = group.members.get_mut(&ticket.number)?;
        if member.join_number != ticket.join_number {
            return None;
        }
        let was_bad = member.reach.is_bad();
        member.reach = match (failure, &member.reach) {
            (None, _) => Reach::Good,
            (Some(why), Reach::Bad { times, .. }) => Reach::Bad {
                times: times.saturating_add(1),
                why: why.into(),
            },
            (Some(why), _) => Reach::Bad {
                times: 1,
                why: why.into(),
            },
        };
        if member.state != State::Offline {
            let due = now + member.reach.pause();
            self.tries.set(ticket.number, &ticket.group, due);
        }
        (member.reach.is_bad() != was_bad).then(|| member.clone())
    }
}

impl Member {
    /// That it cannot be connected to, if that is so, for everybody.
    pub(crate) fn unreachable(&self) -> Option<String> {
        let is_bad = self.reach.is_bad();
        is_bad.then(|| format!("{} cannot be connected to", self.addr))
    }

    /// Why it cannot be connected to, if that is so, for the administrators of this tracker.
    pub(crate) fn why_unreachable(&self) -> Option<&str> {
        match &self.reach {
            Reach::Bad { why, .. } if self.reach.is_bad() => Some(why),
            _ => None,
        }
    }
}

impl Reach {
    /// Of a member that joins.
    pub(super) fn at_first(is_tried: bool) -> Reach {
        if is_tried {
            Reach::Untried
        } else {
            Reach::Believed
        }
    }

    /// Whether clients are better not sent there.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self, Reach::Bad { times, .. } if *times >= BAD_TIMES)
    }

    /// How long to wait before the next try.
    fn pause(&self) -> Duration {
        match self {
            Reach::Bad { times, .. } => RETRY_BAD.saturating_mul(*times).min(RETRY_GOOD),
            Reach::Untried | Reach::Believed | Reach::Good => RETRY_GOOD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::super::tests::{ip, join, limits, now, place};
    use super::*;

    #[test]
    fn who_cannot_be_connected_to_twice_is_not_offered() {
        let mut groups = Groups::new(limits(10));
        let group: GroupName = "g1".parse().unwrap();
        for host in [1, 2] {
            let joined = groups.join(place(ip(host), 1), join(1, host, 1), now(0));
            groups.beat(&joined.unwrap().ticket, now(0)).unwrap();
        }
        let turned = |groups: &mut Groups, secs, failure: Option<&str>| {
            let at = now(secs).elapsed;
            let (ticket, _) = std::iter::from_fn(|| groups.next_try(at))
                .find(|(_, addr)| addr.ip() == ip(1))
                .unwrap();
            let failure = failure.map(str::to_owned);
            groups.tried(&ticket, failure, now(secs).elapsed).is_some()
        };
        assert!(!turned(&mut groups, 1, Some("refused")));
        assert_eq!(groups.active(&group, 0, ip(9)).len(), 2);
        assert!(groups.why_none(&group).is_none());
        assert!(turned(&mut groups, 6, Some("refused")));
        assert_eq!(groups.active(&group, 0, ip(9)), [SocketAddr::new(ip(2), 1)]);
        let why = groups.why_none(&group).unwrap();
        assert_eq!(why, "127.0.0.1:1 cannot be connected to");
        let told = groups.why_unreachable(9);
        assert_eq!(told, [("127.0.0.1:1".parse().unwrap(), "refused".into())]);
        assert!(!turned(&mut groups, 16, Some("refused")));
        assert!(turned(&mut groups, 31, None));
        assert_eq!(groups.active(&group, 0, ip(9)).len(), 2);
        // Loopback addresses are of no use to clients elsewhere.
        assert_eq!(groups.active(&group, 0, [10, 0, 0, 1].into()), []);
    }

    #[test]
    fn an_address_that_is_believed_is_never_tried() {
        let mut groups = Groups::new(limits(10));
        let place = Place {
            is_tried: false,
            ..place(ip(1), 1)
        };
        let ticket = groups.join(place, join(1, 1, 1), now(0)).unwrap().ticket;
        groups.beat(&ticket, now(1)).unwrap();
        groups.check(now(60));
        groups.beat(&ticket, now(61)).unwrap();
        assert!(groups.next_try(now(99).elapsed).is_none());
        let group: GroupName = "g1".parse().unwrap();
        assert_eq!(groups.active(&group, 0, ip(9)).len(), 1);
    }

    #[test]
    fn a_member_that_is_being_tried_is_not_tried_again_and_others_get_their_turn() {
        let mut groups = Groups::new(limits(10));
        for host in 1..=3 {
            let joined = groups.join(
                place(ip(host), 1),
                join(4 - host, host, 1),
                now(host.into()),
            );
            groups.beat(&joined.unwrap().ticket, now(9)).unwrap();
        }
        let next = |groups: &mut Groups, secs| groups.next_try(now(secs).elapsed);
        let host = |next: &Option<(Ticket, SocketAddr)>| next.as_ref().map(|(_, addr)| addr.ip());
        let first = next(&mut groups, 9);
        assert_eq!(host(&first), Some(ip(1)));
        assert_eq!(host(&next(&mut groups, 9)), Some(ip(2)));
        let (ticket, _) = first.unwrap();
        let failure = Some("timed out".to_owned());
        groups.tried(&ticket, failure, now(12).elapsed);
        // Due again after 5 s, but behind the one that was not tried yet.
        assert_eq!(host(&next(&mut groups, 17)), Some(ip(3)));
        assert_eq!(host(&next(&mut groups, 17)), Some(ip(1)));
        assert_eq!(host(&next(&mut groups, 99)), None);
        // Silence ends the tries, a beat begins them anew.
        groups.tried(&ticket, None, now(20).elapsed);
        groups.check(now(60));
        assert_eq!(host(&next(&mut groups, 99)), None);
        groups.beat(&ticket, now(61)).unwrap();
        assert_eq!(host(&next(&mut groups, 61)), Some(ip(1)));
    }
}
