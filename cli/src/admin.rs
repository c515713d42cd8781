//! `tnv admin`: orders to trackers and storages.

mod move_user;
mod orders;

use std::path::Path;

use base::secret::read_secret;
use client::Admin;
use proto::GroupName;
use proto::admin::TrackerOrder;
use proto::report::Drain;

use super::args::{AdminArgs, Order};
use super::context::Context;
use super::exit::CliError;
use super::failures::Failures;
use orders::Orders;

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
        Order::Move { users, to } => move_user::run(&orders, users, &group_name(to)?, failures),
        Order::User => orders.user(),
        Order::File(ids) => orders.files(ids, failures),
    }
}

/// The first line of the key file, as the daemons read it.
fn key(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let file = file.ok_or_else(|| {
        CliError::usage("no key is given: use --key-file or `admin_key_file` in the settings file")
    })?;
    let secret = read_secret(file)
        .map_err(|error| CliError::usage(format!("key file {}: {error}", file.display())))?;
    Ok(secret.expose().as_bytes().to_vec())
}

fn group_name(text: &str) -> Result<GroupName, CliError> {
    GroupName::new(text).map_err(|error| CliError::usage(error.to_string()))
}
