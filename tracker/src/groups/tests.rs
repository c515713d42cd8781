//! Members join, beat, fall silent and leave.

mod model;

use std::net::SocketAddr;

use proto::tracker::Member as Name;

use super::*;

pub(super) const INTERVAL: Duration = Duration::from_secs(30);

pub(super) fn now(secs: u64) -> Now {
    Now {
        elapsed: Duration::from_secs(secs),
        epoch: 1_700_000_000 + secs as i64,
    }
}

/// The limit per address equals the limit on all.
pub(super) fn limits(members_max: usize) -> Limits {
    Limits {
        members_max,
        per_address: members_max,
        check_interval: INTERVAL,
    }
}

pub(super) fn ip(n: u8) -> IpAddr {
    [127, 0, 0, n].into()
}

pub(super) fn address(ip: IpAddr, port: u16) -> MemberAddress {
    MemberAddress {
        addr: SocketAddr::new(ip, port),
        peer: ip,
        node: None,
        cluster: None,
        is_probed: true,
        note: None,
    }
}

pub(super) fn name(group: u8, host: u8) -> Name {
    Name {
        group: format!("g{group}").parse().unwrap(),
        hostname: format!("h{host}").parse().unwrap(),
    }
}

pub(super) fn join(group: u8, host: u8, port: u16) -> Join {
    Join {
        version: "1.0".parse().unwrap(),
        member: name(group, host),
        port,
        start_time: 1,
        join_time: 2,
    }
}

#[test]
fn a_full_tracker_refuses_new_members_and_accepts_known_ones() {
    let mut groups = Groups::new(limits(1));
    let first = groups
        .join(address(ip(1), 1), join(1, 1, 1), now(0))
        .unwrap();
    groups.beat(&first.handle, now(0)).unwrap();
    let fault = groups
        .join(address(ip(2), 1), join(1, 1, 1), now(0))
        .unwrap_err();
    assert_eq!(fault.code, ErrorCode::Busy);
    assert_eq!(fault.message, "1 members already, no room for more");
    let again = groups
        .join(address(ip(1), 1), join(1, 2, 1), now(1))
        .unwrap();
    assert!(!again.is_new);
    groups.leave(&again.handle).unwrap();
    assert!(
        groups
            .join(address(ip(2), 1), join(1, 1, 1), now(0))
            .unwrap()
            .is_new
    );
}

#[test]
fn a_new_member_replaces_the_one_that_is_offline_longest() {
    let mut groups = Groups::new(limits(3));
    let [_, second, third] = [1, 2, 3].map(|n| {
        let joined = groups.join(address(ip(n), 1), join(n, 1, 1), now(n.into()));
        let handle = joined.unwrap().handle;
        groups.beat(&handle, now(n.into())).unwrap();
        handle
    });
    assert_eq!(groups.check(now(40)).len(), 3);
    // The first member has the latest beat.
    groups
        .join(address(ip(1), 1), join(1, 1, 1), now(41))
        .unwrap();
    assert_eq!(groups.check(now(80)).len(), 1);
    let newer = groups
        .join(address(ip(4), 1), join(4, 1, 1), now(81))
        .unwrap();
    groups.beat(&newer.handle, now(81)).unwrap();
    assert_eq!(newer.forgotten.unwrap().addr.ip(), ip(2));
    assert!(groups.beat(&second, now(82)).is_none());
    assert!(groups.leave(&second).is_none());
    // A known member replaces none, and an active member is not replaced.
    groups.beat(&third, now(83)).unwrap();
    let again = groups
        .join(address(ip(4), 1), join(4, 1, 1), now(84))
        .unwrap();
    assert!(again.forgotten.is_none());
    let newest = groups
        .join(address(ip(2), 1), join(2, 1, 1), now(85))
        .unwrap();
    groups.beat(&newest.handle, now(85)).unwrap();
    assert_eq!(newest.forgotten.unwrap().addr.ip(), ip(1));
    let fault = groups
        .join(address(ip(5), 1), join(5, 1, 1), now(86))
        .unwrap_err();
    assert_eq!(fault.code, ErrorCode::Busy);
    assert_eq!(groups.len(), 3);
}

#[test]
fn a_member_that_joined_again_is_not_removed_by_the_old_connection() {
    let mut groups = Groups::new(limits(10));
    let old = groups
        .join(address(ip(1), 1), join(1, 1, 1), now(0))
        .unwrap()
        .handle;
    let new = groups
        .join(address(ip(1), 1), join(1, 1, 1), now(1))
        .unwrap()
        .handle;
    assert!(groups.leave(&old).is_none());
    assert!(groups.leave(&new).is_some());
    assert!(groups.leave(&new).is_none());
    assert!(groups.beat(&new, now(2)).is_none());
}

#[test]
fn silence_counts_from_the_latest_join_or_beat() {
    let mut groups = Groups::new(limits(10));
    let handle = groups
        .join(address(ip(1), 1), join(1, 1, 1), now(0))
        .unwrap()
        .handle;
    assert_eq!(groups.beat(&handle, now(20)).unwrap().state, State::Online);
    assert!(groups.check(now(49)).is_empty());
    assert_eq!(groups.check(now(50)).len(), 1);
    assert!(groups.check(now(51)).is_empty());
    assert_eq!(groups.beat(&handle, now(60)).unwrap().state, State::Offline);
    // A join counts like a beat.
    groups
        .join(address(ip(1), 1), join(1, 1, 1), now(80))
        .unwrap();
    assert!(groups.check(now(109)).is_empty());
    assert_eq!(groups.check(now(110)).len(), 1);
}

pub(super) fn address_of(node: &str, host: u8) -> MemberAddress {
    MemberAddress {
        node: Some(node.parse().unwrap()),
        ..address(ip(host), 1)
    }
}

/// A process of a host that started at a time of its own.
pub(super) fn join_at(host: u8, start_time: i64) -> Join {
    Join {
        start_time,
        ..join(1, host, 1)
    }
}

#[test]
fn only_offline_members_can_be_forgotten() {
    let mut groups = Groups::new(limits(10));
    groups
        .join(address_of("aa", 1), join_at(1, 1), now(0))
        .unwrap();
    groups
        .join(address(ip(2), 1), join(1, 2, 1), now(0))
        .unwrap();
    for storage in ["127.0.0.1:1", "aa"] {
        assert_eq!(groups.forget(storage).unwrap_err().code, ErrorCode::Exists);
    }
    assert_eq!(groups.forget("bb").unwrap_err().code, ErrorCode::NotFound);
    groups.check(now(40));
    assert_eq!(groups.forget("aa").unwrap().len(), 1);
    assert_eq!(groups.forget("127.0.0.2:1").unwrap().len(), 1);
    assert_eq!((groups.len(), groups.check(now(80)).len()), (0, 0));
    groups
        .join(address_of("aa", 3), join_at(1, 9), now(81))
        .unwrap();
}
