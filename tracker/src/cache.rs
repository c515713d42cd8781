//! A cache of users' groups. The router fills it, and uses a stale group only while the database is away:
//! therefore stale groups stay.

use std::time::Duration;

use moka::sync::Cache;
use parking_lot::RwLock;
use proto::{AppId, GroupName, UserId};

use crate::config::CacheConfig;

/// The cache. Only a reload and forgetting a user lock it exclusively.
pub(crate) struct Bindings(RwLock<BoundedCache>);

struct BoundedCache {
    config: CacheConfig,
    cache: Cache<(AppId, UserId), Binding>,
    /// Grows whenever a user is forgotten.
    generation: u64,
}

/// The state of the cache before a group was read. A group is not cached when a user was forgotten since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation(u64);

/// The group a user is bound to.
#[derive(Clone)]
struct Binding {
    group: GroupName,
    /// On the clock of [`Now::elapsed`](crate::groups::Now::elapsed).
    put_at: Duration,
}

/// A user's group, and whether its time to live has passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CachedGroup {
    Fresh(GroupName),
    /// Another tracker may have changed it.
    Stale(GroupName),
}

impl Bindings {
    pub(crate) fn new(config: &CacheConfig) -> Bindings {
        Bindings(RwLock::new(BoundedCache {
            config: config.clone(),
            cache: Cache::new(config.entries),
            generation: 0,
        }))
    }

    /// Applies other settings. A cache of another size begins empty.
    pub(crate) fn reload(&self, config: &CacheConfig) {
        let mut bounded = self.0.write();
        if bounded.config.entries != config.entries {
            bounded.cache = Cache::new(config.entries);
        }
        bounded.config = config.clone();
    }

    /// How long a group stays fresh.
    pub(crate) fn ttl(&self) -> Duration {
        self.0.read().config.ttl.duration()
    }

    /// To be taken before the group is read from the database.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.0.read().generation)
    }

    /// Removes a user who was moved. Groups that were read before are not cached.
    pub(crate) fn forget(&self, app: &AppId, user: &UserId) {
        let mut bounded = self.0.write();
        bounded.generation += 1;
        bounded.cache.invalidate(&(app.clone(), user.clone()));
    }

    pub(crate) fn get(&self, app: &AppId, user: &UserId, now: Duration) -> Option<CachedGroup> {
        let bounded = self.0.read();
        let binding = bounded.cache.get(&(app.clone(), user.clone()))?;
        if now.saturating_sub(binding.put_at) < bounded.config.ttl.duration() {
            Some(CachedGroup::Fresh(binding.group))
        } else {
            Some(CachedGroup::Stale(binding.group))
        }
    }

    /// The approximate number of users.
    pub(crate) fn len(&self) -> u64 {
        self.0.read().cache.entry_count()
    }

    /// Caches a group that was read after `generation` was taken.
    pub(crate) fn put(
        &self,
        app: AppId,
        user: UserId,
        group: GroupName,
        generation: Generation,
        now: Duration,
    ) {
        let bounded = self.0.read();
        if bounded.generation == generation.0 {
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
            let generation = bindings.generation();
            bindings.put(app.clone(), user.clone(), group.clone(), generation, now);
        };
        put(5);
        assert_eq!(get(&user, 64), Some(CachedGroup::Fresh(group.clone())));
        assert_eq!(get(&user, 65), Some(CachedGroup::Stale(group.clone())));
        put(65);
        assert_eq!(get(&user, 124), Some(CachedGroup::Fresh(group.clone())));
        assert_eq!(get(&"Alice".parse().unwrap(), 65), None);
        bindings.reload(&CacheConfig {
            entries: 10,
            ttl: Period::from_secs(30),
        });
        assert_eq!(get(&user, 124), Some(CachedGroup::Stale(group.clone())));
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
        let put = |generation, group: &str| {
            let group = group.parse().unwrap();
            bindings.put(app.clone(), user.clone(), group, generation, Duration::ZERO);
        };
        let get = || bindings.get(&app, &user, Duration::ZERO);
        let before = bindings.generation();
        put(before, "g1");
        bindings.forget(&app, &user);
        assert_eq!(get(), None);
        put(before, "g1");
        assert_eq!(get(), None);
        put(bindings.generation(), "g2");
        assert_eq!(get(), Some(CachedGroup::Fresh("g2".parse().unwrap())));
    }
}
