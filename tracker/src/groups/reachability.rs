//! Which members the tracker can connect to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::GroupName;
use proto::report::Drain;

use super::{Groups, Member, MemberHandle, State};

/// The result of the connections to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reachability {
    /// No attempt has ended yet.
    Unknown,
    /// The tracker makes no attempt, because the storage advertises an address of another network.
    Assumed,
    /// The latest attempt succeeded.
    Reachable,
    /// The latest attempts failed.
    Failing {
        /// Attempts in a row that failed.
        n_failed: u32,
        /// The latest error. Only the log and the status port may show it, never a reply: it tells about the
        /// tracker's network.
        why: Arc<str>,
    },
}

/// Failed attempts in a row before clients are not sent to a member: one may be an accident.
const FAILURES_MIN: u32 = 2;
/// Time between two attempts.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Time between failed attempts: this times their number, up to [`PROBE_INTERVAL`].
const RETRY_PAUSE: Duration = Duration::from_secs(5);

impl Groups {
    /// Why clients are not sent to the ACTIVE members of a group: the first one that cannot be connected to,
    /// or else one that is drained.
    pub(crate) fn no_offer_reason(&self, group: &GroupName) -> Option<String> {
        let group = self.groups.get(group)?;
        let drained = |member: &Member| {
            (member.drain() == Drain::All).then(|| format!("{} is drained", member.addr))
        };
        self.active_members(group)
            .find_map(Member::unreachable_text)
            .or_else(|| self.active_members(group).find_map(drained))
    }

    /// The first `max` ACTIVE members that cannot be connected to, with the error.
    pub(crate) fn unreachable_reasons(&self, max: usize) -> Vec<(SocketAddr, String)> {
        let groups = self.groups.values();
        let active = groups.flat_map(|group| self.active_members(group));
        let unreachable = active.filter_map(|m| Some((m.addr, m.unreachable_reason()?.to_owned())));
        unreachable.take(max).collect()
    }

    /// Takes the member to connect to now. [`Groups::end_probe`] puts it back into the queue.
    pub(crate) fn next_probe(&mut self, now: Duration) -> Option<(MemberHandle, SocketAddr)> {
        let number = self.probe_queue.next(now)?;
        let member = self.members.get(&number)?;
        let handle = MemberHandle {
            group: member.group().clone(),
            number,
            join_number: member.join_number,
        };
        Some((handle, member.addr))
    }

    /// Records an attempt, with the error of a failed one. Returns the member when it became reachable or
    /// unreachable by that.
    pub(crate) fn end_probe(
        &mut self,
        handle: &MemberHandle,
        failure: Option<String>,
        now: Duration,
    ) -> Option<Member> {
        let member = self.member_of(handle)?;
        let was_bad = member.reachability.is_failing();
        member.reachability = match (failure, &member.reachability) {
            (None, _) => Reachability::Reachable,
            (Some(why), Reachability::Failing { n_failed, .. }) => Reachability::Failing {
                n_failed: n_failed.saturating_add(1),
                why: why.into(),
            },
            (Some(why), _) => Reachability::Failing {
                n_failed: 1,
                why: why.into(),
            },
        };
        let changed = (member.reachability.is_failing() != was_bad).then(|| member.clone());
        if member.state != State::Offline {
            let due = now + member.reachability.pause();
            self.probe_queue.set(handle.number, due);
        }
        changed
    }
}

impl Member {
    /// Text for clients when the member cannot be connected to.
    pub(crate) fn unreachable_text(&self) -> Option<String> {
        let is_failing = self.reachability.is_failing();
        is_failing.then(|| format!("{} cannot be connected to", self.addr))
    }

    /// The error when it cannot be connected to, for the tracker's administrators.
    pub(crate) fn unreachable_reason(&self) -> Option<&str> {
        match &self.reachability {
            Reachability::Failing { why, .. } if self.reachability.is_failing() => Some(why),
            _ => None,
        }
    }
}

impl Reachability {
    /// Of a new member.
    pub(super) fn initial(is_probed: bool) -> Reachability {
        if is_probed {
            Reachability::Unknown
        } else {
            Reachability::Assumed
        }
    }

    /// True when clients are not to be sent there.
    pub(crate) fn is_failing(&self) -> bool {
        matches!(self, Reachability::Failing { n_failed, .. } if *n_failed >= FAILURES_MIN)
    }

    /// Time before the next attempt.
    fn pause(&self) -> Duration {
        match self {
            Reachability::Failing { n_failed, .. } => {
                RETRY_PAUSE.saturating_mul(*n_failed).min(PROBE_INTERVAL)
            }
            Reachability::Unknown | Reachability::Assumed | Reachability::Reachable => {
                PROBE_INTERVAL
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemberAddress;
    use super::super::tests::{address, ip, join, limits, now};
    use super::*;

    #[test]
    fn who_cannot_be_connected_to_twice_is_not_offered() {
        let mut groups = Groups::new(limits(10));
        let group: GroupName = "g1".parse().unwrap();
        for host in [1, 2] {
            let joined = groups.join(address(ip(host), 1), join(1, host, 1), now(0));
            groups.beat(&joined.unwrap().handle, now(0)).unwrap();
        }
        let turned = |groups: &mut Groups, secs, failure: Option<&str>| {
            let at = now(secs).elapsed;
            let (handle, _) = std::iter::from_fn(|| groups.next_probe(at))
                .find(|(_, addr)| addr.ip() == ip(1))
                .unwrap();
            let failure = failure.map(str::to_owned);
            groups
                .end_probe(&handle, failure, now(secs).elapsed)
                .is_some()
        };
        assert!(!turned(&mut groups, 1, Some("refused")));
        assert_eq!(groups.active(&group, 0, ip(9), false).len(), 2);
        assert!(groups.no_offer_reason(&group).is_none());
        assert!(turned(&mut groups, 6, Some("refused")));
        assert_eq!(
            groups.active(&group, 0, ip(9), false),
            [SocketAddr::new(ip(2), 1)]
        );
        let why = groups.no_offer_reason(&group).unwrap();
        assert_eq!(why, "127.0.0.1:1 cannot be connected to");
        let told = groups.unreachable_reasons(9);
        assert_eq!(told, [("127.0.0.1:1".parse().unwrap(), "refused".into())]);
        assert!(!turned(&mut groups, 16, Some("refused")));
        assert!(turned(&mut groups, 31, None));
        assert_eq!(groups.active(&group, 0, ip(9), false).len(), 2);
        // Loopback addresses are of no use to clients elsewhere.
        assert_eq!(groups.active(&group, 0, [10, 0, 0, 1].into(), false), []);
    }

    #[test]
    fn an_address_that_is_believed_is_never_tried() {
        let mut groups = Groups::new(limits(10));
        let address = MemberAddress {
            is_probed: false,
            ..address(ip(1), 1)
        };
        let handle = groups.join(address, join(1, 1, 1), now(0)).unwrap().handle;
        groups.beat(&handle, now(1)).unwrap();
        groups.check(now(60));
        groups.beat(&handle, now(61)).unwrap();
        assert!(groups.next_probe(now(99).elapsed).is_none());
        let group: GroupName = "g1".parse().unwrap();
        assert_eq!(groups.active(&group, 0, ip(9), false).len(), 1);
    }

    #[test]
    fn a_member_that_is_being_tried_is_not_tried_again_and_others_get_their_turn() {
        let mut groups = Groups::new(limits(10));
        for host in 1..=3 {
            let joined = groups.join(
                address(ip(host), 1),
                join(4 - host, host, 1),
                now(host.into()),
            );
            groups.beat(&joined.unwrap().handle, now(9)).unwrap();
        }
        let next = |groups: &mut Groups, secs| groups.next_probe(now(secs).elapsed);
        let host =
            |next: &Option<(MemberHandle, SocketAddr)>| next.as_ref().map(|(_, addr)| addr.ip());
        let first = next(&mut groups, 9);
        assert_eq!(host(&first), Some(ip(1)));
        assert_eq!(host(&next(&mut groups, 9)), Some(ip(2)));
        let (handle, _) = first.unwrap();
        let failure = Some("timed out".to_owned());
        groups.end_probe(&handle, failure, now(12).elapsed);
        // Due again after 5 s, but behind the one that was not tried yet.
        assert_eq!(host(&next(&mut groups, 17)), Some(ip(3)));
        assert_eq!(host(&next(&mut groups, 17)), Some(ip(1)));
        assert_eq!(host(&next(&mut groups, 99)), None);
        // Silence ends the tries, a beat begins them anew.
        groups.end_probe(&handle, None, now(20).elapsed);
        groups.check(now(60));
        assert_eq!(host(&next(&mut groups, 99)), None);
        groups.beat(&handle, now(61)).unwrap();
        assert_eq!(host(&next(&mut groups, 61)), Some(ip(1)));
    }
}
