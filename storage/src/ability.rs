//! What this storage can do for clients: what trackers choose by. Never waits.

use crate::globals::Globals;
use crate::health::Health;
use crate::store_path::StorePath;

/// Whether uploads and downloads have a chance, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ability {
    pub(crate) uploads: Result<(), String>,
    pub(crate) downloads: Result<(), String>,
}

impl Ability {
    /// As of the last look at database, idservers and disks. An administrator's order to drain does
    /// not count.
    pub(crate) fn of(globals: &Globals) -> Ability {
        let text = |e| format!("{:#}", anyhow::Error::from(e));
        let rows = globals.files.availability();
        let (read, write) = (rows.reads.map_err(text), rows.writes.map_err(text));
        let why = |is: bool, what: &str| {
            let why = || format!("{what}{}", paths_why(globals));
            is.then_some(()).ok_or_else(why)
        };
        let served = || why(globals.paths.serve_downloads(), "no store path answers");
        let taken = || why(globals.paths.take_uploads(), "no store path takes uploads");
        Ability {
            downloads: read.and_then(|()| served()),
            uploads: write.and_then(|()| taken()).and_then(|()| numbers(globals)),
        }
    }

    /// What REPORT tells of it: whether, and why not.
    pub(crate) fn told(ability: &Result<(), String>) -> (bool, String) {
        match ability {
            Ok(()) => (true, String::new()),
            Err(why) => (false, why.clone()),
        }
    }
}

fn numbers(globals: &Globals) -> Result<(), String> {
    lack_of_numbers(globals).map_or(Ok(()), |why| {
        Err(format!("no idserver gives a number: {why}"))
    })
}

/// Why uploads get no numbers, if so. Numbers of a store path that takes no uploads are of no use.
pub(crate) fn lack_of_numbers(globals: &Globals) -> Option<String> {
    let taking = globals.paths.iter().filter(|path| path.takes_uploads());
    globals.numbers.lack(taking.map(|path| &path.key))
}

/// What is wrong with the first store path that is not writable, as an addition to a reason.
fn paths_why(globals: &Globals) -> String {
    let why = |path: &StorePath| match path.health() {
        _ if path.hangs() => Some("the disk does not answer".to_owned()),
        Health::Writable if path.takes_uploads() => None,
        Health::Writable => Some("it is full".to_owned()),
        Health::Full(why) | Health::ReadOnly(why) | Health::Failed(why) | Health::Away(why) => {
            Some(why)
        }
    };
    let first = globals
        .paths
        .iter()
        .find_map(|path| Some((path, why(path)?)));
    first.map_or_else(String::new, |(path, why)| format!(": {}: {why}", path.text))
}
