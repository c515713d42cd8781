//! The groups of users asked for lately. Never loads itself; the service decides what goes in, and
//! what a group found here is worth: one that is not fresh any more is still better than none when
//! the database is away, and so it is kept.

use std::time::Duration;

use moka::sync::Cache;
use parking_lot::RwLock;
use proto::{AppId, GroupName, UserId};

use crate::config::CacheConfig;

/// Locked exclusively while a user is forgotten.
pub(crate) struct Bindings(RwLock<Bounded>);

/// A cache as large as its configuration says.
struct Bounded {
    config: CacheConfig,
    cache: Cache<(AppId, UserId), Binding>,
    /// How often a user was forgotten.
    forgotten: u64,
}

/// When a group was read: what was forgotten since then must not be put back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

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
        Bindings(RwLock::new(Bounded {
            config: config.clone(),
            cache: Cache::new(config.entries),
            forgotten: 0,
        }))
    }

    /// Takes on another time for which groups are believed. A cache of another size begins empty.
    pub(crate) fn reload(&self, config: &CacheConfig) {
        let mut bounded = self.0.write();
        if bounded.config.entries != config.entries {
            bounded.cache = Cache::new(config.entries);
        }
        bounded.config = config.clone();
    }

    /// How long a group is believed.
    pub(crate) fn ttl(&self) -> Duration {
        self.0.read().config.ttl.duration()
    }

    /// To be taken before the database is asked for a group.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.read().forgotten)
    }

    /// The user was moved: whoever read the group before that does not put it back.
    pub(crate) fn forget(&self, app: &AppId, user: &UserId) {
        let mut bounded = self.0.write();
        bounded.forgotten += 1;
        bounded.cache.invalidate(&(app.clone(), user.clone()));
    }

    pub(crate) fn get(&self, app: &AppId, user: &UserId, now: Duration) -> Option<Known> {
        let bounded = self.0.read();
        let binding = bounded.cache.get(&(app.clone(), user.clone()))?;
        if now.saturating_sub(binding.put_at) < bounded.config.ttl.duration() {
            Some(Known::Fresh(binding.group))
        } else {
            Some(Known::Stale(binding.group))
        }
    }

    /// How many users there are, more or less.
    pub(crate) fn len(&self) -> u64 {
        self.0.read().cache.entry_count()
    }

    /// Remembers a group that was read after `mark`.
    pub(crate) fn put(
        &self,
        app: AppId,
        user: UserId,
        group: GroupName,
        mark: Mark,
        now: Duration,
    ) {
        let bounded = self.0.read();
        if bounded.forgotten == mark.0 {
            let binding = Binding { group, put_at: now };
            bounded.cache.insert((app, user), binding);
        }
    }
}

#[cfg(test)]
mod tests {
    use base::units::Period;

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
            let mark = bindings.mark();
            bindings.put(app.clone(), user.clone(), group.clone(), mark, now);
        };
        put(5);
        assert_eq!(get(&user, 64), Some(Known::Fresh(group.clone())));
        assert_eq!(get(&user, 65), Some(Known::Stale(group.clone())));
        put(65);
        assert_eq!(get(&user, 124), Some(Known::Fresh(group.clone())));
        assert_eq!(get(&"Alice".parse().unwrap(), 65), None);
        bindings.reload(&CacheConfig {
            entries: 10,
            ttl: Period::from_secs(30),
        });
        assert_eq!(get(&user, 124), Some(Known::Stale(group.clone())));
        bindings.reload(&CacheConfig {
            entries: 20,
            ttl: Period::from_secs(30),
        });
        assert_eq!(get(&user, 65), None);
    }

    #[test]
    fn what_was_read_before_a_user_was_moved_is_not_put_back() {
        let bindings = Bindings::new(&CacheConfig::default());
        let app: AppId = "tnvideo".parse().unwrap();
        let user: UserId = "alice".parse().unwrap();
        let put = |mark, group: &str| {
            let group = group.parse().unwrap();
            bindings.put(app.clone(), user.clone(), group, mark, Duration::ZERO);
        };
        let get = || bindings.get(&app, &user, Duration::ZERO);
        let before = bindings.mark();
        put(before, "g1");
        bindings.forget(&app, &user);
        assert_eq!(get(), None);
        put(before, "g1");
        assert_eq!(get(), None);
        put(bindings.mark(), "g2");
        assert_eq!(get(), Some(Known::Fresh("g2".parse().unwrap())));
    }
}
