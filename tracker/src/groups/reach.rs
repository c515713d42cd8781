//! Which members can be connected to, as far as is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::GroupName;

use super::{Groups, Member, State, Ticket};

/// Whether a member can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not tried yet.
    Untried,
    /// It could, at this time on the clock of [`Now::elapsed`].
    Good(Duration),
    /// It could not, so many times in a row.
    Bad {
        /// The last time.
        at: Duration,
        /// How often.
        times: u32,
        /// Why.
        why: Arc<str>,
    },
}

/// A member is not offered to clients after so many tries in a row that failed: one may be chance.
const BAD_TIMES: u32 = 2;
/// Time from one try to the next: of members that could be connected to, and of others.
const RETRY_GOOD: Duration = Duration::from_secs(30);
const RETRY_BAD: Duration = Duration::from_secs(5);

impl Groups {
    /// Why ACTIVE members of a group are not offered: the first one that cannot be connected to.
    pub(crate) fn unreachable(&self, group: &GroupName) -> Option<String> {
        let group = self.groups.get(group)?;
        let mut active = group.active.iter().filter_map(|n| group.members.get(n));
        active.find_map(Member::unreachable)
    }

    /// The members that live and whose addresses are to be tried now; at most `limit`.
    pub(crate) fn to_try(&self, now: Duration, limit: usize) -> Vec<(Ticket, SocketAddr)> {
        let live = self.groups.iter().flat_map(|(name, group)| {
            let live = group.members.iter();
            let live = live.filter(|(_, member)| member.state != State::Offline);
            live.map(move |(number, member)| (name, number, member))
        });
        let due = live.filter(|(_, _, member)| member.reach.is_due(now));
        due.take(limit)
            .map(|(name, number, member)| {
                let ticket = Ticket {
                    group: name.clone(),
                    number: *number,
                    join_number: member.join_number,
                };
                (ticket, member.addr)
            })
            .collect()
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
            (None, _) => Reach::Good(now),
            (Some(why), Reach::Bad { times, .. }) => Reach::Bad {
                at: now,
                times: times.saturating_add(1),
                why: why.into(),
            },
            (Some(why), _) => Reach::Bad {
                at: now,
                times: 1,
                why: why.into(),
            },
        };
        (member.reach.is_bad() != was_bad).then(|| member.clone())
    }
}

impl Member {
    /// Why it cannot be connected to, if that is so.
    pub(crate) fn unreachable(&self) -> Option<String> {
        match &self.reach {
            Reach::Bad { why, .. } if self.reach.is_bad() => {
                Some(format!("{} cannot be connected to: {why}", self.addr))
            }
            _ => None,
        }
    }
}

impl Reach {
    /// Whether clients are better not sent there.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self, Reach::Bad { times, .. } if *times >= BAD_TIMES)
    }

    fn is_due(&self, now: Duration) -> bool {
        match self {
            Reach::Untried => true,
            Reach::Good(at) => now.saturating_sub(*at) >= RETRY_GOOD,
            Reach::Bad { at, .. } => now.saturating_sub(*at) >= RETRY_BAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{INTERVAL, ip, join, now, place};
    use super::*;

    #[test]
    fn who_cannot_be_connected_to_twice_is_not_offered() {
        let mut groups = Groups::new(10, INTERVAL);
        let group: GroupName = "g1".parse().unwrap();
        for host in [1, 2] {
            let joined = groups.join(place(ip(host), 1), join(1, host, 1), now(0));
            groups.beat(&joined.unwrap().ticket, now(0)).unwrap();
        }
        let turned = |groups: &mut Groups, secs, failure: Option<&str>| {
            let due = groups.to_try(now(secs).elapsed, 10);
            let due = due.into_iter().find(|(_, addr)| addr.ip() == ip(1));
            let (ticket, _) = due.unwrap();
            let failure = failure.map(str::to_owned);
            groups.tried(&ticket, failure, now(secs).elapsed).is_some()
        };
        assert!(!turned(&mut groups, 1, Some("refused")));
        assert_eq!(groups.active(&group, 0, ip(9)).len(), 2);
        assert!(groups.unreachable(&group).is_none());
        assert!(
            groups
                .to_try(now(2).elapsed, 10)
                .iter()
                .all(|(_, addr)| addr.ip() != ip(1))
        );
        assert!(turned(&mut groups, 6, Some("refused")));
        assert_eq!(groups.active(&group, 0, ip(9)), [SocketAddr::new(ip(2), 1)]);
        let why = groups.unreachable(&group).unwrap();
        assert_eq!(why, "127.0.0.1:1 cannot be connected to: refused");
        assert!(!turned(&mut groups, 11, Some("refused")));
        assert!(turned(&mut groups, 16, None));
        assert_eq!(groups.active(&group, 0, ip(9)).len(), 2);
        // Loopback addresses are of no use to clients elsewhere.
        assert_eq!(groups.active(&group, 0, [10, 0, 0, 1].into()), []);
    }
}
