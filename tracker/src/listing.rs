//! The members as people read them: the reply to GROUPS.

use std::time::Duration;

use chrono::{Local, TimeZone};
use parking_lot::Mutex;
use proto::GroupName;
use proto::group_list::{self, Group, Storage};

use crate::groups::{Groups, Member, State};

/// A list of more members is kept for a while: of a hundred thousand it takes 25 MB and long to
/// make.
const SMALL: usize = 1000;
/// How long.
const KEPT: Duration = Duration::from_secs(1);

/// The last long list.
#[derive(Default)]
pub(crate) struct Listing(Mutex<Option<Kept>>);

struct Kept {
    body: Vec<u8>,
    /// On the clock of [`Now::elapsed`](crate::groups::Now::elapsed).
    made_at: Duration,
}

impl Listing {
    /// The reply's body: everybody as of now or, when there are many, of just before. Those who ask
    /// for a long list at once wait for one that is made.
    pub(crate) fn body(&self, groups: &Mutex<Groups>, now: Duration) -> Vec<u8> {
        if groups.lock().len() <= SMALL {
            *self.0.lock() = None;
            return make(groups);
        }
        let mut kept = self.0.lock();
        match &*kept {
            Some(kept) if now.saturating_sub(kept.made_at) < KEPT => kept.body.clone(),
            _ => {
                let body = make(groups);
                *kept = Some(Kept {
                    body: body.clone(),
                    made_at: now,
                });
                body
            }
        }
    }
}

fn make(groups: &Mutex<Groups>) -> Vec<u8> {
    let snapshot = groups.lock().snapshot();
    group_list::encode(&rows(&snapshot))
}

/// The rows of a snapshot of the groups.
fn rows(snapshot: &[(GroupName, Vec<Member>)]) -> Vec<Group> {
    let groups = snapshot.iter().map(|(name, members)| Group {
        name: name.to_string(),
        storages: members.iter().map(storage).collect(),
    });
    groups.collect()
}

fn storage(member: &Member) -> Storage {
    let join = &member.join;
    Storage {
        version: join.version.to_string(),
        hostname: join.member.hostname.to_string(),
        address: member.addr.to_string(),
        startup_time: ctime(join.start_time),
        join_time: ctime(join.join_time),
        beat_time: ctime(member.beat_time),
        status: status(member.state).to_owned(),
    }
}

fn status(state: State) -> &'static str {
    match state {
        State::Online => "ONLINE",
        State::Active => Storage::ACTIVE,
        State::Offline => "OFFLINE",
    }
}

/// As the C function of this name, in the local time zone. What a storage sends may be no time of
/// any calendar: then the number itself.
fn ctime(epoch: i64) -> String {
    let time = Local.timestamp_opt(epoch, 0).single();
    time.map_or_else(
        || epoch.to_string(),
        |time| time.format("%a %b %e %H:%M:%S %Y").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::groups::Now;

    fn at(elapsed: Duration) -> Now {
        Now { elapsed, epoch: 0 }
    }

    fn join(groups: &Mutex<Groups>, port: u16) {
        let join = proto::tracker::Join {
            version: "1.0".parse().unwrap(),
            member: proto::tracker::Member {
                group: "g1".parse().unwrap(),
                hostname: "h".parse().unwrap(),
            },
            port,
            start_time: 1,
            join_time: 2,
        };
        let joined = groups
            .lock()
            .join([127, 0, 0, 1].into(), join, at(Duration::ZERO));
        joined.unwrap();
    }

    #[test]
    fn a_long_list_is_made_once_a_second_and_a_short_one_each_time() {
        let groups = Mutex::new(Groups::new(SMALL + 10, KEPT));
        let listing = Listing::default();
        let n_listed = |now| {
            let list = group_list::decode(&listing.body(&groups, now)).unwrap();
            list.iter().map(|group| group.storages.len()).sum::<usize>()
        };
        let began = Duration::from_secs(5);
        for port in 1..=SMALL as u16 {
            join(&groups, port);
        }
        assert_eq!(n_listed(began), SMALL);
        join(&groups, 2000);
        assert_eq!(n_listed(began), SMALL + 1);
        join(&groups, 2001);
        assert_eq!(n_listed(began + KEPT / 2), SMALL + 1);
        assert_eq!(n_listed(began + KEPT), SMALL + 2);
    }

    #[test]
    fn times_have_the_form_of_ctime() {
        let noon = Local.with_ymd_and_hms(2026, 11, 1, 12, 5, 9).unwrap();
        assert_eq!(ctime(noon.timestamp()), "Sun Nov  1 12:05:09 2026");
    }

    #[test]
    fn no_number_is_too_strange() {
        assert_eq!(ctime(i64::MAX), i64::MAX.to_string());
        assert_eq!(ctime(i64::MIN), i64::MIN.to_string());
        for end in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            for distance in [-1, 0, 1] {
                assert!(!ctime(end.timestamp() + distance).is_empty());
            }
        }
    }
}
