//! Moving users who have no files to another group, so that no upload is lost on the way: every
//! storage of the old group refuses the user's uploads before it is looked for files, and longer
//! than any tracker believes that the user is there.

use std::time::Duration;

use anyhow::Context as _;
use client::{Error, StorageTarget};
use proto::admin::{StorageOrder, TrackerOrder, UserBarred, UserFile, UserGroup, decode_reply};
use proto::cluster::{Cluster, Storage};
use proto::{Address, AppId, GroupName, UserId};

use super::{Orders, target};
use crate::exit::{Failures, Mistake};

/// Longest time to look for files: the table may be large, and no index helps.
const SEARCH: Duration = Duration::from_secs(300);

/// Moves each user for whom that can be done.
pub(super) fn run(
    orders: &Orders<'_>,
    users: &[String],
    to: &GroupName,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    for name in users {
        let moved = UserId::new(name.as_str())
            .map_err(|error| Mistake::usage(error.to_string()).into())
            .and_then(|user| Move::new(orders, user, to).run(failures));
        failures.note(moved.with_context(|| format!("move {name}")));
    }
    Ok(())
}

struct Move<'a> {
    orders: &'a Orders<'a>,
    app: AppId,
    user: UserId,
    to: &'a GroupName,
    /// Tells our refusals from those of others who move the user at the same time.
    mark: u64,
    /// Storages that may be refusing the user's uploads because of us, in vain if this fails.
    barred: Vec<StorageTarget>,
}

impl<'a> Move<'a> {
    fn new(orders: &'a Orders<'a>, user: UserId, to: &'a GroupName) -> Move<'a> {
        Move {
            orders,
            app: orders.context.settings.app().clone(),
            user,
            to,
            mark: rand::random(),
            barred: Vec::new(),
        }
    }

    fn run(mut self, failures: &mut Failures) -> anyhow::Result<()> {
        let moved = self.try_run(failures);
        for storage in std::mem::take(&mut self.barred) {
            // One that cannot be told takes uploads again by itself.
            if let Err(error) = self.admit(&storage, Some(self.mark)) {
                log::debug!("{} is not told: {}", storage.address, error.chain());
            }
        }
        moved
    }

    fn try_run(&mut self, failures: &mut Failures) -> anyhow::Result<()> {
        let (from, believed) = self.find()?;
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
            return Err(Mistake::not_found(text).into());
        }
        let members = storages_of(&clusters, &from)?;
        let period = SEARCH + believed;
        self.bar(&members, period)?;
        self.check_files(&members)?;
        // Who came meanwhile, or started anew, may have taken a file that was not seen.
        if !self.bar(&storages_of(&self.clusters()?, &from)?, period)? {
            let text = format!("the storages of {from} changed meanwhile, try again");
            return Err(Mistake::unavailable(text).into());
        }
        // Of a move the other way just before.
        for storage in storages_of(&clusters, self.to)? {
            if let Err(error) = self.admit(&storage, None) {
                log::debug!("{} is not told: {}", storage.address, error.chain());
            }
        }
        self.tell_trackers(&from, period, failures)
    }

    /// The user's group, and how long trackers may believe it: every tracker is asked, because
    /// every one must learn that it changed.
    fn find(&self) -> anyhow::Result<(GroupName, Duration)> {
        let order = TrackerOrder::FindUser {
            app: self.app.clone(),
            user: self.user.clone(),
        };
        let mut found = None;
        let mut believed = Duration::ZERO;
        for tracker in self.orders.trackers() {
            let body = self.orders.admin.tell_tracker(tracker, &order)?;
            let place: UserGroup = decode_reply(&body)?;
            believed = believed.max(Duration::from_secs(place.believed_secs));
            found = place.group;
        }
        let group = found.ok_or_else(|| Mistake::not_found("the user has no group yet"))?;
        Ok((group, believed))
    }

    /// What every tracker knows: one alone may not know all storages.
    fn clusters(&self) -> anyhow::Result<Vec<Cluster>> {
        let trackers = self.orders.trackers().iter();
        let client = &self.orders.context.client;
        let clusters = trackers.map(|tracker| Ok(client.cluster_of(tracker)?));
        clusters.collect()
    }

    /// Has all these storages refuse the user's uploads. Tells whether all did before, without a
    /// break.
    fn bar(&mut self, members: &[StorageTarget], period: Duration) -> anyhow::Result<bool> {
        let order = StorageOrder::BarUser {
            app: self.app.clone(),
            user: self.user.clone(),
            mark: self.mark,
            seconds: u32::try_from(period.as_secs()).unwrap_or(u32::MAX),
        };
        let mut renewed = true;
        let mut silent = Vec::new();
        for storage in members {
            self.barred.push(storage.clone());
            match self.orders.admin.tell_storage(storage, &order) {
                Ok(body) => renewed &= decode_reply::<UserBarred>(&body)?.renewed,
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

    fn admit(&self, storage: &StorageTarget, mark: Option<u64>) -> Result<(), Error> {
        let order = StorageOrder::AdmitUser {
            app: self.app.clone(),
            user: self.user.clone(),
            mark,
        };
        self.orders.admin.tell_storage(storage, &order).map(drop)
    }

    /// The storages of a group have one database: any one can tell.
    fn check_files(&self, members: &[StorageTarget]) -> anyhow::Result<()> {
        let order = StorageOrder::FindUserFile {
            app: self.app.clone(),
            user: self.user.clone(),
        };
        let admin = self.orders.admin.patient(SEARCH);
        let mut failure = None;
        for storage in members {
            match admin.tell_storage(storage, &order) {
                Ok(body) => {
                    let UserFile { file } = decode_reply(&body)?;
                    return file.map_or(Ok(()), |file| {
                        let text = format!("the user has files, such as {file}");
                        Err(Mistake::exists(text).into())
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.map_or_else(|| anyhow::anyhow!("there is no storage"), Into::into))
    }

    /// The first tracker moves the user, the others are to believe nothing older. Where it is not
    /// known whether that was done the refusals stay until they end by themselves.
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
        self.barred.clear();
        let text = match moved_by {
            Some(_) => format!("it may send uploads to {from}, which refuses them for {period:?}"),
            None => format!(
                "it is unknown whether the user was moved, see tnv admin user; {from} refuses \
                 uploads for {period:?}"
            ),
        };
        for error in unclear {
            let told = Err(error).with_context(|| format!("move {}: {text}", self.user));
            failures.note(told);
        }
        moved_by.map_or(Ok(()), |tracker| self.done(tracker))
    }

    fn done(&self, tracker: &Address) -> anyhow::Result<()> {
        self.orders.done("move", self.user.as_str(), tracker)
    }
}

/// A tracker that said so did not move the user.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Fault { .. }) && !error.kind().is_transient()
}

/// The storages of a group, all that any tracker knows, whatever their state.
fn storages_of(clusters: &[Cluster], group: &GroupName) -> anyhow::Result<Vec<StorageTarget>> {
    let groups = clusters.iter().flat_map(|cluster| &cluster.groups);
    let of_group = groups.filter(|other| other.name == group.as_str());
    let all = || of_group.clone().flat_map(|group| &group.storages);
    // A C++ tracker tells no node id of a storage that another tracker may know better.
    let is_told_better = |storage: &&Storage| {
        let better = |other: &Storage| other.address == storage.address && !other.node.is_empty();
        storage.node.is_empty() && all().any(better)
    };
    let mut targets = all()
        .filter(|storage| !is_told_better(storage))
        .map(target)
        .collect::<anyhow::Result<Vec<StorageTarget>>>()?;
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        let text = format!("no tracker knows a storage of {group}");
        return Err(Mistake::unavailable(text).into());
    }
    Ok(targets)
}
