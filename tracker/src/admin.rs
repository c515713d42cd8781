//! Executes the orders of administrators.

use std::net::SocketAddr;

use db::DbError;
use log::warn;
use proto::admin::{TrackerOrder, UserGroup, encode_reply};
use proto::{AppId, ErrorCode, Fault, GroupName, UserId};

use crate::globals::Globals;

/// Executes an order from the address `by`. Returns the reply's body.
///
/// # Errors
/// The database fails, or the order does not fit the groups, members or users that there are.
pub(crate) fn execute(
    globals: &Globals,
    order: TrackerOrder,
    by: SocketAddr,
) -> Result<Vec<u8>, Fault> {
    match order {
        TrackerOrder::OpenGroup { group, new } => {
            if !new {
                check_group(globals, &group, ": enter a new one with --new")?;
            }
            globals
                .routes
                .open_group(&group)
                .map_err(DbError::retryable_fault)?;
            warn!("an administrator at {by} has users given to {group}");
            globals
                .read_all_groups()
                .map_err(DbError::retryable_fault)?;
            Ok(Vec::new())
        }
        TrackerOrder::CloseGroup { group } => {
            check_group(globals, &group, "")?;
            globals
                .routes
                .close_group(&group)
                .map_err(DbError::retryable_fault)?;
            warn!("an administrator at {by} has no more users given to {group}");
            globals
                .read_all_groups()
                .map_err(DbError::retryable_fault)?;
            Ok(Vec::new())
        }
        TrackerOrder::Forget { storage } => {
            for member in globals.groups.lock().forget(&storage)? {
                let (addr, name) = (member.addr, &member.join.member);
                warn!("an administrator at {by} has {addr} forgotten: {name}");
            }
            Ok(Vec::new())
        }
        TrackerOrder::FindUser { app, user } => {
            let binding = globals
                .routes
                .find(&app, &user)
                .map_err(DbError::retryable_fault)?;
            Ok(encode_reply(&UserGroup {
                group: binding.map(|binding| binding.group),
                believed_secs: globals.bindings.ttl().as_secs(),
            }))
        }
        TrackerOrder::MoveUser {
            app,
            user,
            from,
            to,
        } => {
            let moved = move_user(globals, by, (&app, &user), &from, &to);
            // The outcome may be unknown: the next request reads it from the database.
            globals.bindings.forget(&app, &user);
            moved.map(|()| Vec::new())
        }
    }
}

/// Refuses a group that is not in the database, which catches typing errors.
fn check_group(globals: &Globals, group: &GroupName, more: &str) -> Result<(), Fault> {
    globals
        .read_all_groups()
        .map_err(DbError::retryable_fault)?;
    if globals.directory.lock().has(group) {
        return Ok(());
    }
    let message = format!("group {group} is not in the database{more}");
    Err(Fault::new(ErrorCode::NotFound, message))
}

/// Moves a user. Every tracker gets the order: the first one moves the user, the others find the user moved.
fn move_user(
    globals: &Globals,
    by: SocketAddr,
    (app, user): (&AppId, &UserId),
    from: &GroupName,
    to: &GroupName,
) -> Result<(), Fault> {
    let routes = &globals.routes;
    match routes.find(app, user).map_err(DbError::retryable_fault)? {
        Some(binding) if binding.group == *to => return Ok(()),
        Some(binding) if !binding.is_own => {
            let message = format!(
                "{app}/{user} has no row of its own: it is in {} like a user of a similar name, or \
                 of another application, until its first upload",
                binding.group
            );
            return Err(Fault::new(ErrorCode::NotFound, message));
        }
        _ => {}
    }
    check_accepts_uploads(globals, to)?;
    match routes
        .rebind(app, user, from, to)
        .map_err(DbError::retryable_fault)?
    {
        Some(group) if group == *to => {
            warn!("an administrator at {by} has {app}/{user} moved from {from} to {to}");
            Ok(())
        }
        Some(group) => {
            let message = format!("{app}/{user} is in {group}, not in {from}");
            Err(Fault::new(ErrorCode::Exists, message))
        }
        None => {
            let message = format!("{app}/{user} has no group yet");
            Err(Fault::new(ErrorCode::NotFound, message))
        }
    }
}

/// Refuses a group that could not get a new user.
fn check_accepts_uploads(globals: &Globals, group: &GroupName) -> Result<(), Fault> {
    if !globals
        .read_groups()
        .map_err(DbError::retryable_fault)?
        .contains(group)
    {
        let message = format!("{group} is closed, or there is no such group");
        return Err(Fault::new(ErrorCode::NotFound, message));
    }
    if !globals.groups.lock().accepting_uploads().contains(group) {
        let message = format!("{group} has no active storage that takes uploads");
        return Err(Fault::new(ErrorCode::ReadOnly, message));
    }
    Ok(())
}
