//! Whether this storage can serve uploads and downloads, by which trackers choose. Never blocks.

use crate::disks::store_path::StorePath;
use crate::globals::Globals;

/// Whether uploads and downloads can succeed, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ability {
    pub(crate) uploads: Result<(), String>,
    pub(crate) downloads: Result<(), String>,
}

impl Ability {
    /// By the latest checks of database, idservers and disks. The drain level does not count.
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
        let numbers = || number_shortage(globals).map_or(Ok(()), Err);
        Ability {
            downloads: read.and_then(|()| served()),
            uploads: write.and_then(|()| taken()).and_then(|()| numbers()),
        }
    }
}

/// Why uploads get no numbers, if so. Only store paths that take uploads count.
pub(crate) fn number_shortage(globals: &Globals) -> Option<String> {
    let taking = globals.paths.iter().filter(|path| path.takes_uploads());
    let why = globals.numbers.shortage(taking.map(|path| &path.key))?;
    Some(format!("no idserver gives a number: {why}"))
}

/// The state of the first store path that is not writable, as an addition to a reason.
fn paths_why(globals: &Globals) -> String {
    let why = |path: &StorePath| match path.state() {
        ("writable", _) => None,
        ("full", why) if why.is_empty() => Some("it is full".to_owned()),
        (_, why) => Some(why),
    };
    let first = globals
        .paths
        .iter()
        .find_map(|path| Some((path, why(path)?)));
    first.map_or_else(String::new, |(path, why)| format!(": {}: {why}", path.text))
}
