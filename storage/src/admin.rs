//! Orders of administrators.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::{info, warn};
use net::WorkerPool;
use proto::admin::{FileLocation, StorageOrder, UploadsBlocked, UserFile, encode_reply};
use proto::report::Drain;
use proto::{ErrorCode, Fault, FileKey};

use crate::db::table_of;
use crate::disks::limiter::DiskCaller;
use crate::file;
use crate::globals::Globals;
use crate::state::upload_blocks::User;

/// Executes an order of an administrator at the address `by`.
///
/// # Errors
/// The reason why it cannot be executed.
pub(crate) fn execute(
    globals: &Globals,
    order: StorageOrder,
    by: SocketAddr,
) -> Result<Vec<u8>, Fault> {
    match order {
        StorageOrder::Drain { level } => drain(globals, level, by),
        StorageOrder::FindFile { app, user, file } => {
            let location = find(globals, &FileKey { app, user, file })?;
            Ok(encode_reply(&location))
        }
        StorageOrder::BlockUploads {
            app,
            user,
            lease_id,
            seconds,
        } => {
            let period = Duration::from_secs(seconds.into());
            block(globals, (app, user), lease_id, period, by)
        }
        StorageOrder::UnblockUploads {
            app,
            user,
            lease_id,
        } => {
            globals.upload_blocks.unblock(&(app, user), lease_id);
            Ok(Vec::new())
        }
        StorageOrder::FindUserFile { app, user } => {
            let file = globals
                .files
                .any_file_of(&app, &user, &globals.config.group)?;
            Ok(encode_reply(&UserFile { file }))
        }
    }
}

fn block(
    globals: &Globals,
    user: User,
    lease_id: u64,
    period: Duration,
    by: SocketAddr,
) -> Result<Vec<u8>, Fault> {
    let now = Instant::now();
    let renewed = globals
        .upload_blocks
        .block(&user, lease_id, now + period, now)?;
    let (app, user) = user;
    if !renewed {
        info!("an administrator at {by} has uploads of {app}/{user} refused for {period:?}");
    }
    Ok(encode_reply(&UploadsBlocked { renewed }))
}

/// Changes the drain level. The next report tells the trackers; uploads in progress finish.
fn drain(globals: &Globals, level: Drain, by: SocketAddr) -> Result<Vec<u8>, Fault> {
    let written = globals.identity.set_drain(level);
    written.map_err(|e| {
        let path = globals.config.state_file.display();
        Fault::new(ErrorCode::Unavailable, format!("{path}: {e}"))
    })?;
    warn!(
        "an administrator at {by} has this storage drained of: {}",
        level.as_str()
    );
    Ok(Vec::new())
}

/// Refuses uploads while this storage is drained.
///
/// # Errors
/// Read-only.
pub(crate) fn check_uploads(globals: &Globals) -> Result<(), Fault> {
    match globals.identity.drain() {
        Drain::None => Ok(()),
        Drain::Uploads | Drain::All => {
            let message = "this storage is taken out of service and takes no uploads";
            Err(Fault::new(ErrorCode::ReadOnly, message))
        }
    }
}

fn find(globals: &Globals, key: &FileKey) -> Result<FileLocation, Fault> {
    let row = globals.files.find(key)?.ok_or_else(|| {
        let message = format!("no row of file {}", key.file);
        Fault::new(ErrorCode::NotFound, message)
    })?;
    globals.foreign.check(key, row.group.as_deref())?;
    let on_disk = globals
        .paths
        .resolve(&row.path, DiskCaller::Request(WorkerPool::Slow));
    Ok(FileLocation {
        table: table_of(&key.user),
        size: row.size,
        size_on_disk: on_disk.and_then(|at| file::size(&at)).ok(),
        created: row.created,
        checksum: row.checksum.map(|checksum| format!("{checksum:032x}")),
        path: row.path,
    })
}
