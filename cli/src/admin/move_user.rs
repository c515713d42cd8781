//! Moves users without files to another group, without losing an upload: every storage of the old
//! group refuses the user's uploads before the search for files, and for longer than any tracker
//! caches the old group.

use std::time::Duration;

use anyhow::Context as _;
use client::{Error, StorageTarget};
use proto::admin::{StorageOrder, TrackerOrder, UploadsBlocked, UserFile, UserGroup, decode_reply};
use proto::cluster::{Cluster, Storage};
use proto::{Address, AppId, GroupName, UserId};

use super::orders::{Orders, target};
use crate::exit::CliError;
use crate::failures::Failures;

/// Limit on the search for files, which scans the table.
const SEARCH: Duration = Duration::from_secs(300);

/// Moves each user. A failure does not stop the others.
pub(super) fn run(
    orders: &Orders<'_>,
    users: &[String],
    to: &GroupName,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    for name in users {
        let moved = UserId::new(name.as_str())
            .map_err(|error| CliError::usage(error.to_string()).into())
            .and_then(|user| Move::new(orders, user, to).run(failures));
        failures.note(
            ("user", name),
            moved.with_context(|| format!("move {name}")),
        );
    }
    Ok(())
}

struct Move<'a> {
    orders: &'a Orders<'a>,
    app: AppId,
    user: UserId,
    to: &'a GroupName,
    /// Identifies the upload blocks of this move among those of concurrent ones.
    lease_id: u64,
    /// Storages that may refuse the user's uploads because of this move.
    blocked: Vec<StorageTarget>,
}

impl<'a> Move<'a> {
    fn new(orders: &'a Orders<'a>, user: UserId, to: &'a GroupName) -> Move<'a> {
        Move {
            orders,
            app: orders.context.settings.app.clone(),
            user,
            to,
            lease_id: rand::random(),
            blocked: Vec::new(),
        }
    }

    fn run(mut self, failures: &mut Failures) -> anyhow::Result<()> {
        let moved = self.try_run(failures);
        for storage in std::mem::take(&mut self.blocked) {
            // A block that cannot be removed expires.
            if let Err(error) = self.unblock(&storage, Some(self.lease_id)) {
                log::debug!("{} is not told: {}", storage.address, error.chain());
            }
        }
        moved
    }

    fn try_run(&mut self, failures: &mut Failures) -> anyhow::Result<()> {
        let (from, cached_for) = self.find()?;
        if from == *self.to {
            return self.done(&self.orders.trackers()[0]);
        }
        let clusters = self.clusters()?;
        let has_target = |cluster: &Cluster| {
            let mut groups = cluster.groups.iter();
            groups.any(|group| group.open && group.name == self.to.as_str())
        };
        if !clusters.iter().any(has_target) {
            let text = format!("{} is closed, or there is no such group", self.to);
            return Err(CliError::not_found(text).into());
        }
        let members = storages_of(&clusters, &from)?;
        let period = SEARCH + cached_for;
        self.block(&members, period)?;
        self.check_files(&members)?;
        // A storage that joined or restarted meanwhile may have stored a file that the search missed.
        if !self.block(&storages_of(&self.clusters()?, &from)?, period)? {
            let text = format!("the storages of {from} changed meanwhile, try again");
            return Err(CliError::unavailable(text).into());
        }
        // An earlier move in the other direction may have left blocks in the target group.
        for storage in storages_of(&clusters, self.to)? {
            if let Err(error) = self.unblock(&storage, None) {
                log::debug!("{} is not told: {}", storage.address, error.chain());
            }
        }
        self.tell_trackers(&from, period, failures)
    }

    /// The user's group, and for how long trackers may cache it. Every tracker must answer, because each
    /// must learn of the change.
    fn find(&self) -> anyhow::Result<(GroupName, Duration)> {
        let order = TrackerOrder::FindUser {
            app: self.app.clone(),
            user: self.user.clone(),
        };
        let mut found = None;
        let mut cached_for = Duration::ZERO;
        for tracker in self.orders.trackers() {
            let body = self.orders.admin.tell_tracker(tracker, &order)?;
            let answer: UserGroup = decode_reply(&body)?;
            cached_for = cached_for.max(Duration::from_secs(answer.believed_secs));
            found = answer.group;
        }
        let group = found.ok_or_else(|| CliError::not_found("the user has no group yet"))?;
        Ok((group, cached_for))
    }

    /// The cluster as each tracker sees it: one alone may not know all storages.
    fn clusters(&self) -> anyhow::Result<Vec<Cluster>> {
        let trackers = self.orders.trackers().iter();
        let client = &self.orders.context.client;
        let clusters = trackers.map(|tracker| Ok(client.cluster_of(tracker)?));
        clusters.collect()
    }

    /// Makes all these storages refuse the user's uploads. True if all did so before, without a break.
    fn block(&mut self, members: &[StorageTarget], period: Duration) -> anyhow::Result<bool> {
        let order = StorageOrder::BlockUploads {
            app: self.app.clone(),
            user: self.user.clone(),
            lease_id: self.lease_id,
            seconds: u32::try_from(period.as_secs()).unwrap_or(u32::MAX),
        };
        let mut renewed = true;
        let mut silent = Vec::new();
        for storage in members {
            self.blocked.push(storage.clone());
            match self.orders.admin.tell_storage(storage, &order) {
                Ok(body) => renewed &= decode_reply::<UploadsBlocked>(&body)?.renewed,
                Err(error) => silent.push(error),
            }
        }
        let texts: Vec<String> = silent.iter().map(Error::chain).collect();
        match silent.pop() {
            None => Ok(renewed),
            Some(error) => Err(error).with_context(|| {
                format!(
                    "every storage of the group has to refuse the user's uploads first; if one \
                     is dead: tnv admin forget; {}",
                    texts.join("; ")
                )
            }),
        }
    }

    fn unblock(&self, storage: &StorageTarget, lease_id: Option<u64>) -> Result<(), Error> {
        let order = StorageOrder::UnblockUploads {
            app: self.app.clone(),
            user: self.user.clone(),
            lease_id,
        };
        self.orders.admin.tell_storage(storage, &order).map(drop)
    }

    /// Fails if the user has files. The storages of a group share a database, so the first answer is
    /// enough.
    fn check_files(&self, members: &[StorageTarget]) -> anyhow::Result<()> {
        let order = StorageOrder::FindUserFile {
            app: self.app.clone(),
            user: self.user.clone(),
        };
        let admin = self.orders.admin.with_time(SEARCH);
        let mut failure = None;
        for storage in members {
            match admin.tell_storage(storage, &order) {
                Ok(body) => {
                    let UserFile { file } = decode_reply(&body)?;
                    return file.map_or(Ok(()), |file| {
                        let text = format!("the user has files, such as {file}");
                        Err(CliError::exists(text).into())
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.map_or_else(|| anyhow::anyhow!("there is no storage"), Into::into))
    }

    /// The first tracker moves the user; the others drop the old group from their caches. If the outcome
    /// is unknown, the blocks stay until they expire.
    fn tell_trackers(
        &mut self,
        from: &GroupName,
        period: Duration,
        failures: &mut Failures,
    ) -> anyhow::Result<()> {
        let order = TrackerOrder::MoveUser {
            app: self.app.clone(),
            user: self.user.clone(),
            from: from.clone(),
            to: self.to.clone(),
        };
        let mut moved_by = None;
        let mut unclear = Vec::new();
        for tracker in self.orders.trackers() {
            match self.orders.admin.tell_tracker(tracker, &order) {
                Ok(_) => moved_by = moved_by.or(Some(tracker)),
                Err(error) if moved_by.is_none() && unclear.is_empty() && is_refusal(&error) => {
                    return Err(error.into());
                }
                Err(error) => unclear.push(error),
            }
        }
        self.blocked.clear();
        let text = match moved_by {
            Some(_) => format!("it may send uploads to {from}, which refuses them for {period:?}"),
            None => format!(
                "it is unknown whether the user was moved, see tnv admin user; {from} refuses \
                 uploads for {period:?}"
            ),
        };
        for error in unclear {
            let told = Err(error).with_context(|| format!("move {}: {text}", self.user));
            failures.note(("user", self.user.as_str()), told);
        }
        moved_by.map_or(Ok(()), |tracker| self.done(tracker))
    }

    fn done(&self, tracker: &Address) -> anyhow::Result<()> {
        self.orders.done("move", self.user.as_str(), tracker)
    }
}

/// True if the tracker did not move the user.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Fault { .. }) && !error.kind().is_transient()
}

/// All storages of a group that any tracker knows, in any state.
fn storages_of(clusters: &[Cluster], group: &GroupName) -> anyhow::Result<Vec<StorageTarget>> {
    let groups = clusters.iter().flat_map(|cluster| &cluster.groups);
    let of_group = groups.filter(|other| other.name == group.as_str());
    let all = || of_group.clone().flat_map(|group| &group.storages);
    // A C++ tracker reports no node id; another tracker may report the same storage with one.
    let has_better_entry = |storage: &&Storage| {
        let better = |other: &Storage| other.address == storage.address && !other.node.is_empty();
        storage.node.is_empty() && all().any(better)
    };
    let mut targets = all()
        .filter(|storage| !has_better_entry(storage))
        .map(target)
        .collect::<anyhow::Result<Vec<StorageTarget>>>()?;
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        let text = format!("no tracker knows a storage of {group}");
        return Err(CliError::unavailable(text).into());
    }
    Ok(targets)
}
