//! The members as people read them: the reply to GROUPS. And how long lists are spared.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Local, TimeZone};
use parking_lot::Mutex;
use proto::GroupName;
use proto::group_list::{self, Group, Storage};

use crate::globals::Globals;
use crate::groups::{Member, State};

/// A list of more members is kept for a while: of a hundred thousand it takes 25 MB and long to
/// make.
const SMALL: usize = 1000;
/// How long.
const KEPT: Duration = Duration::from_secs(1);

/// The last long list of one kind.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<Body>>);

struct Body {
    bytes: Arc<[u8]>,
    /// On the clock of [`Now::elapsed`](crate::groups::Now::elapsed).
    made_at: Duration,
}

impl Kept {
    /// What `make` makes of `n_members`: now or, when they are many, just before. Those who ask for
    /// a long list at once wait for one that is made, and share it.
    pub(crate) fn body(
        &self,
        n_members: usize,
        now: Duration,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Arc<[u8]> {
        if n_members <= SMALL {
            *self.0.lock() = None;
            return make().into();
        }
        let mut kept = self.0.lock();
        match &*kept {
            Some(kept) if now.saturating_sub(kept.made_at) < KEPT => Arc::clone(&kept.bytes),
            _ => {
                let bytes: Arc<[u8]> = make().into();
                *kept = Some(Body {
                    bytes: Arc::clone(&bytes),
                    made_at: now,
                });
                bytes
            }
        }
    }
}

/// The body of the reply to GROUPS.
pub(crate) fn groups(globals: &Globals) -> Vec<u8> {
    let snapshot = globals.groups.lock().snapshot();
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

/// A state in the words of the C++ tracker.
pub(crate) fn status(state: State) -> &'static str {
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

    #[test]
    fn a_long_list_is_made_once_a_second_and_a_short_one_each_time() {
        let (kept, began) = (Kept::default(), Duration::from_secs(5));
        let body = |n_members: usize, mark: u8, now| kept.body(n_members, now, || vec![mark]);
        assert_eq!(*body(SMALL, 1, began), [1]);
        assert_eq!(*body(SMALL, 2, began), [2]);
        let long = body(SMALL + 1, 3, began);
        let again = body(SMALL + 2, 4, began + KEPT / 2);
        // The same bytes, not a copy: many may ask and read nothing.
        assert!(*long == [3] && Arc::ptr_eq(&long, &again));
        assert_eq!(*body(SMALL + 2, 5, began + KEPT), [5]);
        assert_eq!(*body(SMALL, 6, began + KEPT), [6]);
        assert_eq!(*body(SMALL + 1, 7, began + KEPT), [7]);
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
