//! The state of storages and groups, derived from reports. Pure.

use proto::cluster::{Group, Storage};
use proto::group_list;
use proto::report::{Drain, Space};

/// True if a tracker heard of the storage lately.
pub(super) fn is_active(storage: &Storage) -> bool {
    storage.status == group_list::Storage::ACTIVE
}

/// True if clients are sent to the storage and can read there.
pub(super) fn is_readable(storage: &Storage) -> bool {
    let serves = storage.report.as_ref();
    let serves = serves.is_none_or(|report| report.downloads);
    is_active(storage) && storage.offered && serves
}

/// True if the storage can take uploads.
pub(super) fn is_writable(storage: &Storage) -> bool {
    let takes = storage.report.as_ref().is_none_or(|report| report.uploads);
    is_readable(storage) && takes && drain(storage) == Drain::None
}

pub(super) fn drain(storage: &Storage) -> Drain {
    let report = storage.report.as_ref();
    report.map_or(Drain::None, |report| report.drain)
}

/// The problems that a storage reports, each with the name of the storage.
pub(super) fn warnings(group: &Group, storage: &Storage) -> Vec<String> {
    let reported = storage.report.iter().flat_map(|report| &report.warnings);
    reported
        .map(|warning| format!("{} {}: {warning}", group.name, storage.address))
        .collect()
}

/// Room in a group. Its storages see the same files, so the smallest value counts. None if no living
/// storage reports.
pub(super) fn space(group: &Group) -> Option<Space> {
    let live = group.storages.iter().filter(|storage| is_readable(storage));
    live.filter_map(|storage| Some(storage.report.as_ref()?.space))
        .min_by_key(|space| (space.available, space.free))
}
