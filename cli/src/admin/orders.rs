//! The orders of `tnv admin` and their results.

use anyhow::{Context as _, anyhow};
use client::{Admin, StorageTarget};
use proto::admin::{FileLocation, StorageOrder, TrackerOrder, UserGroup, decode_reply};
use proto::cluster::Storage;
use proto::report::Drain;
use proto::{Address, GroupName};
use serde::Serialize;

use crate::args::Ids;
use crate::context::Context;
use crate::exit::CliError;
use crate::failures::Failures;
use crate::monitor::fullness;

/// An executed order.
#[derive(Serialize)]
struct Done<'a> {
    order: &'a str,
    target: &'a str,
    at: &'a str,
}

/// The group and storages of a user.
#[derive(Serialize)]
struct UserLine<'a> {
    user: &'a str,
    group: Option<&'a str>,
    storages: Vec<&'a str>,
}

/// The location of a file at one storage of its group.
#[derive(Serialize)]
struct FileLine<'a> {
    id: &'a str,
    group: &'a str,
    storage: &'a str,
    #[serde(flatten)]
    location: FileLocation,
}

/// A storage as the target of an order. A C++ storage has no node id and takes no orders.
pub(super) fn target(storage: &Storage) -> anyhow::Result<StorageTarget> {
    let told = || format!("{} tells no node id, it takes no orders", storage.address);
    StorageTarget::try_from(storage).with_context(told)
}

/// Sends orders and prints their results.
pub(super) struct Orders<'a> {
    pub(super) context: &'a Context,
    pub(super) admin: Admin,
}

impl Orders<'_> {
    pub(super) fn trackers(&self) -> &[Address] {
        &self.context.settings.client.trackers
    }

    pub(super) fn done(&self, order: &str, target: &str, at: &Address) -> anyhow::Result<()> {
        let at = at.as_str();
        let text = format!("{order} {target}: done at {at}");
        self.context
            .output
            .result(&Done { order, target, at }, &text)
    }

    /// Sends an order to the first tracker that answers: all share the database.
    fn ask(&self, order: &TrackerOrder) -> Result<(Address, Vec<u8>), client::Error> {
        self.admin.tell_any_tracker(self.trackers(), order)
    }

    pub(super) fn any_tracker(
        &self,
        name: &str,
        target: &str,
        order: &TrackerOrder,
    ) -> anyhow::Result<()> {
        let (tracker, _) = self
            .ask(order)
            .with_context(|| format!("{name} {target}"))?;
        self.done(name, target, &tracker)
    }

    /// The storages that trackers know, each with its group.
    fn storages(&self) -> anyhow::Result<Vec<(String, Storage)>> {
        let clusters = self.context.client.clusters()?;
        let groups = clusters.into_iter().flat_map(|cluster| cluster.groups);
        let storages = groups.flat_map(|group| {
            let name = group.name;
            let of_group = group.storages.into_iter();
            of_group.map(move |storage| (name.clone(), storage))
        });
        let mut storages: Vec<(String, Storage)> = storages.collect();
        // The fullest entry of each storage is kept: a C++ tracker reports no node ids.
        storages.sort_by(|(_, a), (_, b)| {
            let by_address = a.address.cmp(&b.address);
            by_address.then_with(|| fullness(b).cmp(&fullness(a)))
        });
        storages.dedup_by(|a, b| a.1.address == b.1.address);
        Ok(storages)
    }

    /// Sends the order to the storage, which stores the level and reports it to every tracker.
    pub(super) fn drain(&self, name: &str, level: Drain) -> anyhow::Result<()> {
        let order = match level {
            Drain::None => "undrain",
            _ => "drain",
        };
        let storages = self.storages()?;
        let named = |storage: &&Storage| storage.address == name || storage.node == name;
        let mut found = storages.iter().map(|(_, storage)| storage).filter(named);
        let storage = found.next().ok_or_else(|| {
            CliError::usage(format!(
                "no tracker knows a storage {name}; see tnv monitor"
            ))
        })?;
        let target = target(storage)?;
        self.admin
            .tell_storage(&target, &StorageOrder::Drain { level })
            .with_context(|| format!("{order} {name}"))?;
        self.done(order, name, &target.address)
    }

    /// Sends the order to each tracker, because each has its own list. A tracker that cannot be reached
    /// is a failure: it keeps the storage unless it restarts.
    pub(super) fn forget(&self, storage: &str, failures: &mut Failures) -> anyhow::Result<()> {
        for tracker in self.trackers() {
            let order = TrackerOrder::Forget {
                storage: storage.to_owned(),
            };
            let told = self.admin.tell_tracker(tracker, &order);
            let done = told
                .map_err(anyhow::Error::from)
                .and_then(|_| self.done("forget", storage, tracker));
            failures.note(
                ("storage", storage),
                done.with_context(|| format!("forget {storage}")),
            );
        }
        Ok(())
    }

    fn group_of_user(&self) -> anyhow::Result<Option<GroupName>> {
        let settings = &self.context.settings;
        let order = TrackerOrder::FindUser {
            app: settings.app.clone(),
            user: settings.user()?.clone(),
        };
        let (_, body) = self.ask(&order)?;
        let answer: UserGroup = decode_reply(&body)?;
        Ok(answer.group)
    }

    pub(super) fn user(&self) -> anyhow::Result<()> {
        let user = self.context.settings.user()?.as_str();
        let group = self.group_of_user()?;
        let all = self.storages()?;
        let group = group.as_ref().map(GroupName::as_str);
        let storages: Vec<&str> = all
            .iter()
            .filter(|(of, _)| Some(of.as_str()) == group)
            .map(|(_, storage)| storage.address.as_str())
            .collect();
        let text = match group {
            Some(group) => format!("{user} group={group} storages={}", storages.join(",")),
            None => format!("{user} has no group yet"),
        };
        let line = UserLine {
            user,
            group,
            storages,
        };
        self.context.output.result(&line, &text)
    }

    pub(super) fn files(&self, ids: &Ids, failures: &mut Failures) -> anyhow::Result<()> {
        let group = self
            .group_of_user()?
            .ok_or_else(|| anyhow!("the user has no group yet"))?;
        let storages = self.storages()?;
        for id in &ids.ids {
            let of_group = storages.iter().filter(|(of, _)| of == group.as_str());
            for (_, storage) in of_group {
                let shown = self.file(id, &group, storage);
                failures.note(("id", id), shown.with_context(|| format!("file {id}")));
            }
        }
        Ok(())
    }

    fn file(&self, id: &str, group: &GroupName, storage: &Storage) -> anyhow::Result<()> {
        let key = self.context.settings.key(id)?;
        let order = StorageOrder::FindFile {
            app: key.app,
            user: key.user,
            file: key.file,
        };
        let target = target(storage)?;
        let location: FileLocation = decode_reply(&self.admin.tell_storage(&target, &order)?)?;
        let address = &target.address;
        let on_disk = location
            .size_on_disk
            .map_or("-".to_owned(), |size| size.to_string());
        let text = format!(
            "{id} group={group} storage={address} table={} path={} size={} size_on_disk={on_disk}",
            location.table, location.path, location.size
        );
        let line = FileLine {
            id,
            group: group.as_str(),
            storage: address.as_str(),
            location,
        };
        self.context.output.result(&line, &text)
    }
}
