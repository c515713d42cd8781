//! The orders of administrators.

use log::warn;
use proto::Fault;
use proto::admin::{TrackerOrder, UserPlace};

use crate::globals::Globals;
use crate::service::db_fault;

/// Carries out an order; the reply's body.
///
/// # Errors
/// Why it cannot be.
pub(crate) fn obey(globals: &Globals, order: TrackerOrder) -> Result<Vec<u8>, Fault> {
    match order {
        TrackerOrder::OpenGroup { group } => {
            globals.routes.open_group(&group).map_err(db_fault)?;
            warn!("an administrator has users given to {group}");
            globals.read_groups().map_err(db_fault)?;
            Ok(Vec::new())
        }
        TrackerOrder::CloseGroup { group } => {
            globals.routes.close_group(&group).map_err(db_fault)?;
            warn!("an administrator has no more users given to {group}");
            globals.read_groups().map_err(db_fault)?;
            Ok(Vec::new())
        }
        TrackerOrder::Forget { storage } => {
            for member in globals.groups.lock().forget(&storage)? {
                let name = &member.join.member;
                warn!(
                    "an administrator has {} forgotten: {}/{}",
                    member.addr, name.group, name.hostname
                );
            }
            Ok(Vec::new())
        }
        TrackerOrder::FindUser { app, user } => {
            let group = globals.routes.find(&app, &user).map_err(db_fault)?;
            Ok(serde_json::to_vec(&UserPlace { group }).expect("a place is JSON"))
        }
    }
}
