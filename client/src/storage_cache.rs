//! A short-lived cache of users' storages, so that a burst of requests asks the trackers once. It
//! never loads itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::tracker::SaddrsReply;
use proto::{AppId, UserId};

/// Limit on cached users.
const USERS_MAX: usize = 10_000;

/// A bounded map with expiry. A keep time of zero disables it.
#[derive(Debug)]
pub(crate) struct StorageCache {
    keep: Duration,
    users: Mutex<HashMap<(AppId, UserId), (Instant, SaddrsReply)>>,
}

impl StorageCache {
    pub(crate) fn new(keep: Duration) -> StorageCache {
        StorageCache {
            keep,
            users: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn get(&self, app: &AppId, user: &UserId, now: Instant) -> Option<SaddrsReply> {
        if self.keep.is_zero() {
            return None;
        }
        let users = self.users.lock();
        let (since, reply) = users.get(&(app.clone(), user.clone()))?;
        self.is_fresh(*since, now).then(|| reply.clone())
    }

    pub(crate) fn put(&self, app: &AppId, user: &UserId, reply: &SaddrsReply, now: Instant) {
        if self.keep.is_zero() {
            return;
        }
        let mut users = self.users.lock();
        if users.len() >= USERS_MAX {
            users.retain(|_, (since, _)| self.is_fresh(*since, now));
        }
        // Still full of fresh entries: clear all. Each costs one request, which is cheaper than
        // keeping an order of eviction.
        if users.len() >= USERS_MAX {
            users.clear();
        }
        users.insert((app.clone(), user.clone()), (now, reply.clone()));
    }

    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> SaddrsReply {
        SaddrsReply {
            group: proto::GroupName::new("g1").unwrap(),
            addresses: Vec::new(),
        }
    }

    #[test]
    fn an_entry_is_kept_for_its_time_only() {
        let cache = StorageCache::new(Duration::from_secs(1));
        let (app, user) = (AppId::new("a").unwrap(), UserId::new("u").unwrap());
        let now = Instant::now();
        cache.put(&app, &user, &reply(), now);
        assert!(cache.get(&app, &user, now).is_some());
        let later = now + Duration::from_secs(1);
        assert!(cache.get(&app, &user, later).is_none());
    }

    #[test]
    fn the_number_of_users_is_bounded() {
        let cache = StorageCache::new(Duration::from_secs(1));
        let app = AppId::new("a").unwrap();
        let now = Instant::now();
        for n in 0..USERS_MAX + 5 {
            let user = UserId::new(format!("u{n}")).unwrap();
            cache.put(&app, &user, &reply(), now);
        }
        assert!(cache.users.lock().len() <= USERS_MAX);
    }
}
