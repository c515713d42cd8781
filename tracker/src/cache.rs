//! The groups of users asked for lately. Never loads itself; the service decides what goes in, and
//! what a group found here is worth: one that is not fresh any more is still better than none when
//! the database is away, and so it is kept.

use std::time::Duration;

use moka::sync::Cache;
use proto::{AppId, GroupName, UserId};

use crate::config::CacheConfig;

pub(crate) struct Bindings {
    cache: Cache<(AppId, UserId), Binding>,
    ttl: Duration,
}

/// The group a user is bound to.
#[derive(Clone)]
struct Binding {
    group: GroupName,
    /// On the clock of [`Now::elapsed`](crate::groups::Now::elapsed).
    put_at: Duration,
}

/// What is known of a user's group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The group.
    Fresh(GroupName),
    /// The group, unless it was changed meanwhile.
    Stale(GroupName),
}

impl Bindings {
    pub(crate) fn new(config: &CacheConfig) -> Bindings {
        Bindings {
            cache: Cache::new(config.entries),
            ttl: config.ttl.duration(),
        }
    }

    pub(crate) fn get(&self, app: &AppId, user: &UserId, now: Duration) -> Option<Known> {
        let binding = self.cache.get(&(app.clone(), user.clone()))?;
        if now.saturating_sub(binding.put_at) < self.ttl {
            Some(Known::Fresh(binding.group))
        } else {
            Some(Known::Stale(binding.group))
        }
    }

    /// How many users there are, more or less.
    pub(crate) fn len(&self) -> u64 {
        self.cache.entry_count()
    }

    pub(crate) fn put(&self, app: AppId, user: UserId, group: GroupName, now: Duration) {
        let binding = Binding { group, put_at: now };
        self.cache.insert((app, user), binding);
    }
}

#[cfg(test)]
mod tests {
    use daemon::units::Period;

    use super::*;

    #[test]
    fn what_is_old_is_stale_and_not_gone() {
        let bindings = Bindings::new(&CacheConfig {
            entries: 10,
            ttl: Period::from_secs(60),
        });
        let app: AppId = "tnvideo".parse().unwrap();
        let user: UserId = "alice".parse().unwrap();
        let group: GroupName = "g1".parse().unwrap();
        let get = |user: &UserId, secs| bindings.get(&app, user, Duration::from_secs(secs));
        assert_eq!(get(&user, 0), None);
        let put = |secs| {
            let now = Duration::from_secs(secs);
            bindings.put(app.clone(), user.clone(), group.clone(), now);
        };
        put(5);
        assert_eq!(get(&user, 64), Some(Known::Fresh(group.clone())));
        assert_eq!(get(&user, 65), Some(Known::Stale(group.clone())));
        put(65);
        assert_eq!(get(&user, 124), Some(Known::Fresh(group.clone())));
        assert_eq!(get(&"Alice".parse().unwrap(), 65), None);
    }
}
