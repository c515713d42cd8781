//! The reply to GROUPS: the members as people read them.

use chrono::{Local, TimeZone};
use proto::GroupName;
use proto::group_list::{self, Group, Storage};

use crate::globals::Globals;
use crate::groups::{Member, State};

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

/// A state as the C++ tracker spells it.
pub(crate) fn status(state: State) -> &'static str {
    match state {
        State::Online => "ONLINE",
        State::Active => Storage::ACTIVE,
        State::Offline => "OFFLINE",
    }
}

/// Formats like the C function of this name, in the local time zone. A number that is no time of the
/// calendar is printed as it is: storages may send any.
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
