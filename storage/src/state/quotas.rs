//! Quotas of users and applications, and what they use of them.
//!
//! The files are counted in the background. Between two counts a storage adds its own uploads and subtracts its own
//! deletions; it learns those of other storages by the next count. A use that was never counted limits nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use proto::{AppId, ErrorCode, Fault, FileKey, UserId};

use crate::config::Quota;

/// Limit on uses that are remembered. A use beyond it limits nothing.
const USES_MAX: usize = 10_000;
/// A use without an upload for this time is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// Time from one count of a use to the next.
const PERIOD: Duration = Duration::from_secs(60);
/// The same, as a multiple of the time that the count took: counts take at most a twentieth of the time.
const PERIOD_FACTOR: u32 = 20;
/// Time from a failed count to the next one.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The files that a quota limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    User(AppId, UserId),
    App(AppId),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::User(app, user) => write!(f, "user {user} of application {app}"),
            Scope::App(app) => write!(f, "application {app}"),
        }
    }
}

/// Number and size of files, or a change of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    pub(crate) files: i64,
    pub(crate) bytes: i64,
}

impl Sum {
    pub(crate) fn of_file(size: u64) -> Sum {
        Sum {
            files: 1,
            bytes: i64::try_from(size).unwrap_or(i64::MAX),
        }
    }

    pub(crate) fn add(&mut self, other: Sum) {
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn subtract(&mut self, other: Sum) {
        self.files = self.files.saturating_sub(other.files);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// What is used of a quota.
#[derive(Debug)]
struct Use {
    counted: Option<Sum>,
    /// Changes by this storage since the count began.
    changed: Sum,
    /// The value of `changed` when the count that runs began.
    changed_before: Sum,
    /// Uploads in progress.
    pending: Sum,
    count_due: Instant,
    latest_upload: Instant,
    /// True if an upload came since the latest count.
    is_wanted: bool,
}

impl Use {
    fn new(now: Instant) -> Use {
        Use {
            counted: None,
            changed: Sum::default(),
            changed_before: Sum::default(),
            pending: Sum::default(),
            count_due: now,
            latest_upload: now,
            is_wanted: true,
        }
    }

    fn total(&self) -> Option<Sum> {
        let mut total = self.counted?;
        total.add(self.changed);
        total.add(self.pending);
        Some(total)
    }
}

/// The quotas, and the uses of those that had an upload lately.
#[derive(Debug)]
pub(crate) struct Quotas {
    limits: RwLock<Vec<Quota>>,
    uses: Mutex<HashMap<Scope, Use>>,
}

/// The share of an upload in progress. It ends when dropped.
#[derive(Debug)]
pub(crate) struct QuotaHold {
    quotas: Arc<Quotas>,
    scopes: Vec<Scope>,
    file: Sum,
    is_stored: bool,
}

impl Quotas {
    pub(crate) fn new(limits: Vec<Quota>) -> Arc<Quotas> {
        Arc::new(Quotas {
            limits: RwLock::new(limits),
            uses: Mutex::default(),
        })
    }

    pub(crate) fn reload(&self, limits: Vec<Quota>) {
        *self.limits.write() = limits;
    }

    /// Checks that an upload is within its quotas, and counts it while it lasts.
    ///
    /// # Errors
    /// No space: it is not. The text names the quota, its limit and its use.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: &FileKey,
        size: u64,
        now: Instant,
    ) -> Result<QuotaHold, Fault> {
        let limits = self.limits_of(key);
        let file = Sum::of_file(size);
        let mut scopes = Vec::new();
        if !limits.is_empty() {
            let mut uses = self.uses.lock();
            make_room(&mut uses, now);
            for (scope, quota) in &limits {
                let is_known = uses.contains_key(scope) || uses.len() < USES_MAX;
                if is_known {
                    let of_scope = uses.entry(scope.clone()).or_insert_with(|| Use::new(now));
                    of_scope.latest_upload = now;
                    of_scope.is_wanted = true;
                    check(scope, quota, of_scope.total(), file)?;
                }
            }
            for (scope, _) in limits {
                if let Some(of_scope) = uses.get_mut(&scope) {
                    of_scope.pending.add(file);
                    scopes.push(scope);
                }
            }
        }
        Ok(QuotaHold {
            quotas: Arc::clone(self),
            scopes,
            file,
            is_stored: false,
        })
    }

    /// Notes that a file was removed.
    pub(crate) fn removed(&self, key: &FileKey, size: u64) {
        let limits = self.limits_of(key);
        if limits.is_empty() {
            return;
        }
        let mut uses = self.uses.lock();
        for (scope, _) in limits {
            if let Some(of_scope) = uses.get_mut(&scope) {
                of_scope.changed.subtract(Sum::of_file(size));
            }
        }
    }

    /// A use whose count is due. The caller counts it, and calls [`Quotas::counted`].
    pub(crate) fn begin_count(&self, now: Instant) -> Option<Scope> {
        let mut uses = self.uses.lock();
        let is_due = |of_scope: &Use| of_scope.is_wanted && of_scope.count_due <= now;
        let (scope, of_scope) = uses.iter_mut().find(|(_, of_scope)| is_due(of_scope))?;
        of_scope.is_wanted = false;
        of_scope.changed_before = of_scope.changed;
        Some(scope.clone())
    }

    /// Takes the result of a count, or `None` if it failed. It took `time`.
    pub(crate) fn counted(&self, scope: &Scope, sum: Option<Sum>, time: Duration, now: Instant) {
        let mut uses = self.uses.lock();
        let Some(of_scope) = uses.get_mut(scope) else {
            return;
        };
        match sum {
            Some(sum) => {
                of_scope.counted = Some(sum);
                let before = std::mem::take(&mut of_scope.changed_before);
                of_scope.changed.subtract(before);
                of_scope.count_due = now + PERIOD.max(time * PERIOD_FACTOR);
            }
            None => {
                of_scope.is_wanted = true;
                of_scope.count_due = now + RETRY_AFTER;
            }
        }
    }

    /// The quotas that limit a file.
    fn limits_of(&self, key: &FileKey) -> Vec<(Scope, Quota)> {
        let limits = self.limits.read();
        let of_app = || limits.iter().filter(|quota| quota.app == key.app);
        let of_user = of_app().find(|quota| quota.is_of(&key.user));
        let of_user = of_user.or_else(|| of_app().find(|quota| quota.is_of_each_user()));
        let of_all = of_app().find(|quota| quota.user.is_none());
        let user = of_user.map(|quota| {
            let scope = Scope::User(key.app.clone(), key.user.clone());
            (scope, quota.clone())
        });
        let all = of_all.map(|quota| (Scope::App(key.app.clone()), quota.clone()));
        user.into_iter().chain(all).collect()
    }
}

fn make_room(uses: &mut HashMap<Scope, Use>, now: Instant) {
    if uses.len() >= USES_MAX {
        let is_recent = |of_scope: &Use| {
            let idle = now.saturating_duration_since(of_scope.latest_upload);
            idle < FORGET_AFTER || of_scope.pending != Sum::default()
        };
        uses.retain(|_, of_scope| is_recent(of_scope));
    }
}

fn check(scope: &Scope, quota: &Quota, total: Option<Sum>, file: Sum) -> Result<(), Fault> {
    let Some(total) = total else {
        return Ok(());
    };
    let is_over = |limit: Option<u64>, used: i64, more: i64| {
        let used = u64::try_from(used).unwrap_or(0);
        let wanted = used.saturating_add(u64::try_from(more).unwrap_or(0));
        limit
            .filter(|limit| wanted > *limit)
            .map(|limit| (used, limit))
    };
    let bytes = quota.bytes.map(|bytes| bytes.bytes());
    let text = if let Some((used, limit)) = is_over(quota.files, total.files, file.files) {
        format!("the quota of {scope} is {limit} files, and {used} are stored")
    } else if let Some((used, limit)) = is_over(bytes, total.bytes, file.bytes) {
        let more = file.bytes;
        format!("the quota of {scope} is {limit} bytes, {used} are used, and the file has {more}")
    } else {
        return Ok(());
    };
    Err(Fault::new(ErrorCode::NoSpace, text))
}

impl QuotaHold {
    /// Notes that the file is stored.
    pub(crate) fn stored(mut self) {
        self.is_stored = true;
    }
}

impl Drop for QuotaHold {
    fn drop(&mut self) {
        if self.scopes.is_empty() {
            return;
        }
        let mut uses = self.quotas.uses.lock();
        for scope in &self.scopes {
            if let Some(of_scope) = uses.get_mut(scope) {
                of_scope.pending.subtract(self.file);
                if self.is_stored {
                    of_scope.changed.add(self.file);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
