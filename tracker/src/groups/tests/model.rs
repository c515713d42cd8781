//! The groups do the same as a model that is a plain list.

use proptest::prelude::*;

use super::*;

const MEMBERS_MAX: usize = 5;

const N_CONNECTIONS: usize = 4;

/// One event. A connection is an index, which also gives its address ([`ip_of`]).
#[derive(Debug, Clone)]
enum Event {
    Join {
        connection: usize,
        group: u8,
        host: u8,
        port: u16,
    },
    Beat {
        connection: usize,
    },
    BeatElsewhere {
        group: u8,
        host: u8,
        ip: u8,
    },
    Leave {
        connection: usize,
    },
    Permit {
        secs: u64,
    },
    Check,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let connection = 0..N_CONNECTIONS;
    let event = prop_oneof![
        3 => (connection.clone(), 0..2u8, 0..2u8, 1..3u16).prop_map(
            |(connection, group, host, port)| Event::Join { connection, group, host, port }
        ),
        3 => connection.clone().prop_map(|connection| Event::Beat { connection }),
        1 => (0..2u8, 0..2u8, 0..2u8)
            .prop_map(|(group, host, ip)| Event::BeatElsewhere { group, host, ip }),
        1 => connection.prop_map(|connection| Event::Leave { connection }),
        2 => (1..40u64).prop_map(|secs| Event::Permit { secs }),
        2 => Just(Event::Check),
    ];
    prop::collection::vec(event, 0..60)
}

/// Two connections come from each address.
fn ip_of(connection: usize) -> u8 {
    (connection % 2) as u8
}

#[derive(Debug, Clone)]
struct Plain {
    /// Number of its first join.
    number: u64,
    group: u8,
    host: u8,
    ip: u8,
    port: u16,
    state: State,
    has_beaten: bool,
    heard: u64,
    /// The connection of its latest join.
    connection: usize,
}

#[derive(Default)]
struct Model {
    members: Vec<Plain>,
    secs: u64,
    n_joins: u64,
}

impl Model {
    /// Returns the number of the member, or None if it is refused.
    fn join(&mut self, connection: usize, group: u8, host: u8, port: u16) -> Option<u64> {
        self.n_joins += 1;
        let mut plain = Plain {
            number: self.n_joins,
            group,
            host,
            ip: ip_of(connection),
            port,
            state: State::Online,
            has_beaten: false,
            heard: self.secs,
            connection,
        };
        let same = |m: &&mut Plain| (m.group, m.ip, m.port) == (group, plain.ip, port);
        if let Some(known) = self.members.iter_mut().find(same) {
            plain.number = known.number;
            plain.has_beaten = known.has_beaten;
            *known = plain;
            return Some(known.number);
        }
        let has_room = self.members.len() < MEMBERS_MAX || self.forget_one();
        has_room.then(|| {
            self.members.push(plain);
            self.n_joins
        })
    }

    /// Removes the first member that never beat, else the one that is offline longest.
    fn forget_one(&mut self) -> bool {
        let never_beat = self.members.iter().filter(|m| !m.has_beaten);
        let offline = self.members.iter().filter(|m| m.state == State::Offline);
        let never_beat = never_beat.min_by_key(|m| m.number);
        let offline = offline.min_by_key(|m| (m.heard, m.number));
        let Some(number) = never_beat.or(offline).map(|m| m.number) else {
            return false;
        };
        self.members.retain(|m| m.number != number);
        true
    }

    fn check(&mut self) -> Vec<(u8, u16)> {
        let mut lost: Vec<_> = self.members.iter_mut().collect();
        lost.retain(|m| m.state != State::Offline && self.secs - m.heard >= INTERVAL.as_secs());
        lost.iter_mut().for_each(|m| m.state = State::Offline);
        lost.sort_by_key(|m| m.group);
        lost.iter().map(|m| (m.ip, m.port)).collect()
    }

    fn of_group(&self, group: u8) -> impl Iterator<Item = &Plain> {
        self.members.iter().filter(move |m| m.group == group)
    }
}

/// The groups and the model, which get the same events.
struct Pair {
    groups: Groups,
    model: Model,
    handles: [Option<MemberHandle>; N_CONNECTIONS],
    /// The number in the model of the member of each handle.
    joined: [Option<u64>; N_CONNECTIONS],
}

impl Pair {
    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Join {
                connection,
                group,
                host,
                port,
            } => {
                let at = address(ip(ip_of(connection)), port);
                let joined = self
                    .groups
                    .join(at, join(group, host, port), now(self.model.secs));
                let taken = self.model.join(connection, group, host, port);
                assert_eq!(joined.is_ok(), taken.is_some());
                if let Ok(joined) = joined {
                    self.handles[connection] = Some(joined.handle);
                    self.joined[connection] = taken;
                }
            }
            Event::Beat { connection } => self.beat(connection),
            Event::BeatElsewhere { group, host, ip } => self.beat_elsewhere(group, host, ip),
            Event::Leave { connection } => self.leave(connection),
            Event::Permit { secs } => self.model.secs += secs,
            Event::Check => {
                let lost = self.groups.check(now(self.model.secs));
                let lost: Vec<_> = lost.iter().map(|m| (m.addr.ip(), m.addr.port())).collect();
                let expected = self.model.check();
                let expected: Vec<_> = expected.iter().map(|&(n, port)| (ip(n), port)).collect();
                assert_eq!(lost, expected);
            }
        }
    }

    fn beat(&mut self, connection: usize) {
        let Some(handle) = &self.handles[connection] else {
            return;
        };
        let before = self.groups.beat(handle, now(self.model.secs));
        let number = self.joined[connection].unwrap();
        let secs = self.model.secs;
        let mut members = self.model.members.iter_mut();
        let known = members.find(|m| m.number == number && m.connection == connection);
        let known = known.map(|known| {
            let before = known.state;
            (known.state, known.heard) = (State::Active, secs);
            known.has_beaten = true;
            before
        });
        assert_eq!(before.map(|member| member.state), known);
    }

    fn beat_elsewhere(&mut self, group: u8, host: u8, at: u8) {
        let found = self.groups.find(&name(group, host), ip(at));
        let secs = self.model.secs;
        let members = self.model.members.iter_mut();
        let mut alike: Vec<_> = members
            .filter(|m| (m.group, m.host, m.ip) == (group, host, at))
            .collect();
        assert_eq!(found.is_some(), alike.len() == 1);
        if let Some(handle) = found {
            assert_eq!(
                self.groups.beat(&handle, now(secs)).unwrap().state,
                alike[0].state
            );
            (alike[0].state, alike[0].heard) = (State::Active, secs);
            alike[0].has_beaten = true;
        }
    }

    fn leave(&mut self, connection: usize) {
        let Some(handle) = self.handles[connection].take() else {
            return;
        };
        let left = self.groups.leave(&handle);
        let number = self.joined[connection].take().unwrap();
        let members = &mut self.model.members;
        let mut plain = members.iter();
        let idx = plain.position(|m| m.number == number && m.connection == connection);
        assert_eq!(left.is_some(), idx.is_some());
        idx.map(|idx| members.remove(idx));
    }

    fn assert_alike(&self) {
        let listed = self.groups.snapshot();
        let mut n_listed = 0;
        for (group_idx, (group, members)) in listed.iter().enumerate() {
            assert!(listed[..group_idx].iter().all(|(before, _)| before < group));
            assert!(!members.is_empty());
            n_listed += members.len();
        }
        assert_eq!(n_listed, self.model.members.len());
        assert_eq!(self.groups.len(), n_listed);
        let members = self.model.members.iter();
        let offline = members.filter(|m| m.state == State::Offline).count();
        assert_eq!(self.groups.offline.len(), offline);
        let never_beat = self.model.members.iter().filter(|m| !m.has_beaten).count();
        assert_eq!(self.groups.never_beat.len(), never_beat);
        let by_peer = self.groups.by_peer.values().map(BTreeSet::len);
        assert_eq!(by_peer.sum::<usize>(), n_listed);
        for group in 0..2 {
            self.assert_group_alike(group, &listed);
        }
    }

    fn assert_group_alike(&self, group: u8, listed: &[(GroupName, Vec<Member>)]) {
        let key = name(group, 0).group;
        let addr = |m: &Plain| SocketAddr::new(ip(m.ip), m.port);
        let ours = listed.iter().find(|(name, _)| *name == key);
        let ours = ours.map_or(&[][..], |(_, members)| members);
        let ours: Vec<_> = ours.iter().map(|m| (m.addr, m.state)).collect();
        let plain: Vec<_> = self
            .model
            .of_group(group)
            .map(|m| (addr(m), m.state))
            .collect();
        assert_eq!(ours, plain);
        let active: Vec<_> = plain.iter().filter(|m| m.1 == State::Active).collect();
        assert_eq!(
            self.groups.accepting_uploads().contains(&key),
            !active.is_empty()
        );
        for chance in 0..4 {
            let n = active.len();
            let ring: Vec<_> = (0..n.min(3)).map(|i| active[(chance + i) % n].0).collect();
            assert_eq!(self.groups.active(&key, chance, ip(9), false), ring);
        }
    }
}

proptest! {
    #[test]
    fn groups_do_what_a_plain_list_does(events in events()) {
        let mut pair = Pair {
            groups: Groups::new(limits(MEMBERS_MAX)),
            model: Model::default(),
            handles: Default::default(),
            joined: Default::default(),
        };
        for event in &events {
            pair.apply(event);
            pair.assert_alike();
        }
    }
}
