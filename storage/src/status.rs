//! The periodic jobs: finishing deletions that a crash cut short, removing what dead uploads left,
//! and telling when a disk is full.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::Stop;
use daemon::ticker::Ticker;
use log::{info, warn};

use crate::file;
use crate::globals::Globals;

const INTERVAL: Duration = Duration::from_secs(3600);
/// Deletions finished in one go.
const DELETES_MAX: u32 = 10_000;

/// Starts them: at once, then every hour.
pub(crate) fn start(globals: &Arc<Globals>, stop: &Stop) -> std::io::Result<Ticker> {
    let globals = Arc::clone(globals);
    let watch = stop.clone();
    Ticker::start("status", INTERVAL, stop.clone(), move || {
        finish_deletes(&globals, &watch);
        for store_path in globals.paths.iter() {
            let go_on = || !watch.is_tripped();
            file::sweep_temporaries(Path::new(&store_path.text), SystemTime::now(), &go_on);
            match store_path.available() {
                Ok(0) => warn!("{}: no space above the reserved space", store_path.text),
                Ok(_) => {}
                Err(e) => warn!("{}: free space unknown: {e}", store_path.text),
            }
        }
    })
}

fn finish_deletes(globals: &Globals, stop: &Stop) {
    let unfinished = match globals
        .files
        .unfinished_deletes(&globals.config.group, DELETES_MAX)
    {
        Ok(unfinished) => unfinished,
        Err(e) => return warn!("deletions not looked at: {:#}", anyhow::Error::from(e)),
    };
    for (key, path) in unfinished {
        if stop.is_tripped() {
            return;
        }
        let removed = globals.writer.remove(&path).map_err(anyhow::Error::from);
        match removed.and_then(|()| Ok(globals.files.end_delete(&key)?)) {
            Ok(()) => info!("finished the deletion of {key}"),
            Err(e) => warn!("deletion of {key} not finished: {e:#}"),
        }
    }
}
