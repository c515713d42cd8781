//! The cluster on one screen: a line for each storage.

use base::Escaped;
use proto::cluster::{Group, Storage};

use super::storage_state;
use super::text::{size, time};
use super::view::View;

/// The lines, the most important first: the problems, then the groups. Text from the network adds no
/// lines.
pub(super) fn lines(view: &View, now: i64) -> Vec<String> {
    let n_storages: usize = view.groups.iter().map(|group| group.storages.len()).sum();
    let mut lines = vec![format!(
        "{}   trackers {}/{}   groups {}   storages {n_storages}",
        time(now),
        view.answered(),
        view.trackers.len(),
        view.groups.len()
    )];
    lines.extend(view.errors());
    lines.extend(view.disagreements());
    lines.extend(view.troubles());
    for group in &view.groups {
        for storage in &group.storages {
            lines.extend(storage.notes.iter().cloned());
            lines.extend(storage_state::warnings(group, storage));
        }
    }
    lines.push(String::new());
    lines.push(format!(
        "{:<16} {:<22} {:<8} {:<14} {:>6} {:>9} {:>9} {:>10} {:>10} {:>6}",
        "GROUP",
        "STORAGE",
        "STATE",
        "MODE",
        "BEAT",
        "TOTAL",
        "AVAIL",
        "UPLOADS",
        "DOWNLOADS",
        "CONN"
    ));
    for group in &view.groups {
        if group.storages.is_empty() {
            lines.push(format!("{:<16} no storage", group.name));
        }
        lines.extend(
            group
                .storages
                .iter()
                .map(|storage| row(group, storage, now)),
        );
    }
    let lines = lines.into_iter();
    lines.map(|line| Escaped(line).to_string()).collect()
}

fn row(group: &Group, storage: &Storage, now: i64) -> String {
    let age = now.saturating_sub(storage.beat_time).max(0);
    let mode = match (
        storage_state::is_writable(storage),
        storage_state::is_readable(storage),
    ) {
        (true, _) => "read, write",
        (false, true) => "read",
        (false, false) => "none",
    };
    let mut row = format!(
        "{:<16} {:<22} {:<8} {mode:<14} {:>6}",
        group.name,
        storage.address,
        storage.status,
        format!("{age}s")
    );
    if let Some(report) = &storage.report {
        let counters = &report.counters;
        row += &format!(
            " {:>9} {:>9} {:>10} {:>10} {:>6}",
            size(report.space.total),
            size(report.space.available),
            counters.success_upload_count,
            counters.success_download_count,
            counters.connection_current_count
        );
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_stays_on_its_line() {
        let view = View {
            refused: vec!["a\nb\u{1b}[2J".to_owned()],
            ..View::default()
        };
        let lines = lines(&view, 0);
        assert!(
            lines.contains(&"refused: a\\nb\\u{1b}[2J".to_owned()),
            "{lines:?}"
        );
    }
}
