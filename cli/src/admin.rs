//! `tnv admin`: orders to trackers and storages.

mod moves;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use client::{Admin, StorageTarget};
use proto::admin::{FileLocation, StorageOrder, TrackerOrder, UserGroup, decode_reply};
use proto::cluster::Storage;
use proto::report::Drain;
use proto::{Address, GroupName};
use serde::Serialize;

use super::Context;
use super::args::{AdminArgs, Ids, Order};
use super::exit::{Failures, Mistake};
use super::monitor::fullness;

/// What was done, and where.
#[derive(Serialize)]
struct Done<'a> {
    order: &'a str,
    target: &'a str,
    at: &'a str,
}

/// Where a user lives.
#[derive(Serialize)]
struct UserLine<'a> {
    user: &'a str,
    group: Option<&'a str>,
    storages: Vec<&'a str>,
}

/// Where a file lies, as one storage of its group sees it.
#[derive(Serialize)]
struct FileLine<'a> {
    id: &'a str,
    group: &'a str,
    storage: &'a str,
    #[serde(flatten)]
    place: FileLocation,
}

pub(super) fn run(
    context: &Context,
    args: &AdminArgs,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    let settings = &context.settings;
    let file = args
        .key_file
        .as_deref()
        .or(settings.admin_key_file.as_deref());
    let admin = Admin::new(key(file)?, settings.client.connection.clone());
    let orders = Orders { context, admin };
    match &args.order {
        Order::OpenGroup { group, new } => {
            let group = group_name(group)?;
            orders.any_tracker(
                "open-group",
                group.as_str(),
                &TrackerOrder::OpenGroup {
                    group: group.clone(),
                    new: *new,
                },
            )
        }
        Order::CloseGroup { group } => {
            let group = group_name(group)?;
            orders.any_tracker(
                "close-group",
                group.as_str(),
                &TrackerOrder::CloseGroup {
                    group: group.clone(),
                },
            )
        }
        Order::Drain { storage, all: true } => orders.drain(storage, Drain::All),
        Order::Drain { storage, .. } => orders.drain(storage, Drain::Uploads),
        Order::Undrain { storage } => orders.drain(storage, Drain::None),
        Order::Forget { storage } => orders.forget(storage, failures),
        Order::Move { users, to } => moves::run(&orders, users, &group_name(to)?, failures),
        Order::User => orders.user(),
        Order::File(ids) => orders.files(ids, failures),
    }
}

/// The first line of the file, as the daemons read it.
fn key(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let file = file.ok_or_else(|| {
        Mistake::usage("no key is given: use --key-file or `admin_key_file` in the settings file")
    })?;
    let told = |text: String| Mistake::usage(format!("key file {}: {text}", file.display()));
    let mode = fs::metadata(file).map_err(|e| told(e.to_string()))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("its mode {mode:03o} lets others than its owner use it");
        return Err(told(text).into());
    }
    let text = fs::read_to_string(file).map_err(|e| told(e.to_string()))?;
    Ok(text.lines().next().unwrap_or_default().as_bytes().to_vec())
}

/// Who is told: a storage of ours, which has a node id.
fn target(storage: &Storage) -> anyhow::Result<StorageTarget> {
    let told = || format!("{} tells no node id, it takes no orders", storage.address);
    StorageTarget::try_from(storage).with_context(told)
}

fn group_name(text: &str) -> Result<GroupName, Mistake> {
    GroupName::new(text).map_err(|error| Mistake::usage(error.to_string()))
}

struct Orders<'a> {
    context: &'a Context,
    admin: Admin,
}

impl Orders<'_> {
    fn trackers(&self) -> &[Address] {
        &self.context.settings.client.trackers
    }

    fn done(&self, order: &str, target: &str, at: &Address) -> anyhow::Result<()> {
        let at = at.as_str();
        let text = format!("{order} {target}: done at {at}");
        self.context
            .output
            .result(&Done { order, target, at }, &text)
    }

    /// The answer of the first tracker that can be asked: all share the database.
    fn ask(&self, order: &TrackerOrder) -> Result<(&Address, Vec<u8>), client::Error> {
        self.admin.tell_any_tracker(self.trackers(), order)
    }

    fn any_tracker(&self, name: &str, target: &str, order: &TrackerOrder) -> anyhow::Result<()> {
        let (tracker, _) = self
            .ask(order)
            .with_context(|| format!("{name} {target}"))?;
        self.done(name, target, tracker)
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
        // What tells most comes first, and stays: a C++ tracker knows no node ids.
        storages.sort_by(|(_, a), (_, b)| {
            let by_address = a.address.cmp(&b.address);
            by_address.then_with(|| fullness(b).cmp(&fullness(a)))
        });
        storages.dedup_by(|a, b| a.1.address == b.1.address);
        Ok(storages)
    }

    /// Goes to the storage itself, which tells every tracker and remembers it.
    fn drain(&self, name: &str, level: Drain) -> anyhow::Result<()> {
        let order = match level {
            Drain::None => "undrain",
            _ => "drain",
        };
        let storages = self.storages()?;
        let named = |storage: &&Storage| storage.address == name || storage.node == name;
        let mut found = storages.iter().map(|(_, storage)| storage).filter(named);
        let storage = found.next().ok_or_else(|| {
            Mistake::usage(format!(
                "no tracker knows a storage {name}; see tnv monitor"
            ))
        })?;
        let target = target(storage)?;
        self.admin
            .tell_storage(&target, &StorageOrder::Drain { level })
            .with_context(|| format!("{order} {name}"))?;
        self.done(order, name, &target.address)
    }

    /// Every tracker has a list of its own. One that is away is told of: it forgets by itself when
    /// it restarts, but not when it was only out of reach.
    fn forget(&self, storage: &str, failures: &mut Failures) -> anyhow::Result<()> {
        for tracker in self.trackers() {
            let order = TrackerOrder::Forget {
                storage: storage.to_owned(),
            };
            let told = self.admin.tell_tracker(tracker, &order);
            let done = told
                .map_err(anyhow::Error::from)
                .and_then(|_| self.done("forget", storage, tracker));
            failures.note(done.with_context(|| format!("forget {storage}")));
        }
        Ok(())
    }

    fn group_of_user(&self) -> anyhow::Result<Option<GroupName>> {
        let settings = &self.context.settings;
        let order = TrackerOrder::FindUser {
            app: settings.app().clone(),
            user: settings.user()?.clone(),
        };
        let (_, body) = self.ask(&order)?;
        let place: UserGroup = decode_reply(&body)?;
        Ok(place.group)
    }

    fn user(&self) -> anyhow::Result<()> {
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

    fn files(&self, ids: &Ids, failures: &mut Failures) -> anyhow::Result<()> {
        let group = self
            .group_of_user()?
            .ok_or_else(|| anyhow!("the user has no group yet"))?;
        let storages = self.storages()?;
        for id in &ids.ids {
            let of_group = storages.iter().filter(|(of, _)| of == group.as_str());
            for (_, storage) in of_group {
                let shown = self.file(id, &group, storage);
                failures.note(shown.with_context(|| format!("file {id}")));
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
        let place: FileLocation = decode_reply(&self.admin.tell_storage(&target, &order)?)?;
        let address = &target.address;
        let on_disk = place
            .size_on_disk
            .map_or("-".to_owned(), |size| size.to_string());
        let text = format!(
            "{id} group={group} storage={address} table={} path={} size={} size_on_disk={on_disk}",
            place.table, place.path, place.size
        );
        let line = FileLine {
            id,
            group: group.as_str(),
            storage: address.as_str(),
            place,
        };
        self.context.output.result(&line, &text)
    }
}
