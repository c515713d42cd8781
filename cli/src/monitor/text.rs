//! The page for people, with the layout and words of FastDFS's `fdfs_monitor` where both show the same
//! thing.

use std::fmt::{Display, Write};

use base::Escaped;
use chrono::{Local, SecondsFormat, TimeZone};
use proto::cluster::{Group, Storage};
use proto::report::{Drain, Report, Space};

use super::storage_state;
use super::view::View;

/// Indent of the lines of a storage.
const STORAGE_INDENT: &str = "\t\t";

/// The whole page.
pub(super) fn page(view: &View) -> String {
    let mut page = String::new();
    let current = view.trackers.iter().position(|t| t.error.is_none());
    let count = view.trackers.len();
    let index = current.map_or("none".to_owned(), |index| index.to_string());
    line(
        &mut page,
        &format!("tracker server count={count}, current server index={index}"),
    );
    line(&mut page, "");
    for answer in &view.trackers {
        let what = match (&answer.tracker, &answer.error) {
            (_, Some(error)) => format!("does not answer: {error}"),
            (Some(t), _) if !t.version.is_empty() => {
                format!(
                    "{}  version = {}  up time = {}",
                    t.hostname,
                    t.version,
                    time(t.up_since)
                )
            }
            _ => "tells its list of groups only".to_owned(),
        };
        line(
            &mut page,
            &format!("tracker server is {}  {what}", answer.address),
        );
    }
    for idserver in &view.idservers {
        line(&mut page, &idserver.text());
    }
    for status_page in &view.status_ports {
        line(&mut page, &status_page.text());
    }
    for text in view.disagreements() {
        line(&mut page, &text);
    }
    line(&mut page, &format!("\ngroup count: {}", view.groups.len()));
    for (idx, group) in view.groups.iter().enumerate() {
        line(&mut page, &format!("\nGroup {}:", idx + 1));
        of_group(&mut page, group);
    }
    page
}

fn of_group(page: &mut String, group: &Group) {
    let storages = &group.storages;
    let count = |is: fn(&Storage) -> bool| storages.iter().filter(|s| is(s)).count();
    put(page, "", "group name", &group.name);
    let open = match (group.unregistered, group.open) {
        (true, _) => "no (group is not in the database)",
        (false, true) => "yes",
        (false, false) => "no (closed)",
    };
    put(page, "", "takes new users", open);
    if let Some(space) = storage_state::space(group) {
        of_space(page, "", space);
    }
    put(page, "", "storage server count", storages.len());
    let n_readable = count(storage_state::is_readable);
    put(page, "", "readable server count", n_readable);
    let n_writable = count(storage_state::is_writable);
    put(page, "", "writable server count", n_writable);
    for (idx, storage) in storages.iter().enumerate() {
        line(page, &format!("\n\tStorage {}:", idx + 1));
        of_storage(page, storage);
    }
}

fn of_storage(page: &mut String, storage: &Storage) {
    let version = storage
        .report
        .as_ref()
        .map(|report| report.version.as_str());
    let version = version.filter(|version| !version.is_empty());
    let id = match storage.node.as_str() {
        "" => &storage.address,
        node => node,
    };
    let mut put = |name: &str, value: &str| put(page, STORAGE_INDENT, name, value);
    put("id", id);
    put("host", &format!("{}  {}", storage.address, storage.status));
    put("host name", &storage.hostname);
    for note in &storage.notes {
        put("note", note);
    }
    if storage.untried {
        put("address", "not tried, see check_networks of the trackers");
    }
    for warning in storage.report.iter().flat_map(|report| &report.warnings) {
        put("warning", warning);
    }
    put("read write mode", &mode(storage));
    put("version", version.unwrap_or(&storage.version));
    put("join time", &time(storage.join_time));
    put("up time", &time(storage.start_time));
    if let Some(report) = &storage.report {
        of_report(page, report);
    }
    let latest = time(storage.beat_time);
    self::put(page, STORAGE_INDENT, "last_heart_beat_time", latest);
}

/// In the words of `fdfs_monitor`, and why.
pub(super) fn mode(storage: &Storage) -> String {
    let report = storage.report.as_ref();
    let why = |text: &str, unknown: &'static str| match text {
        "" => unknown.to_owned(),
        text => text.to_owned(),
    };
    match (storage_state::drain(storage), report) {
        (Drain::All, _) => "none (drained)".to_owned(),
        _ if !storage.offered => "none (clients are not sent there)".to_owned(),
        (_, Some(report)) if !report.downloads => {
            format!(
                "none ({})",
                why(&report.downloads_why, "no store path answers")
            )
        }
        (Drain::Uploads, _) => "read (drained of uploads)".to_owned(),
        (_, Some(report)) if !report.uploads => {
            format!("read ({})", why(&report.uploads_why, "takes no uploads"))
        }
        _ => "both (normal)".to_owned(),
    }
}

fn of_report(page: &mut String, report: &Report) {
    of_space(page, STORAGE_INDENT, report.space);
    let mut put = |name: &str, value: &dyn Display| put(page, STORAGE_INDENT, name, value);
    put("store_path_count", &report.paths.len());
    for (idx, path) in report.paths.iter().enumerate() {
        let why = match path.why.as_str() {
            "" => String::new(),
            why => format!(" ({why})"),
        };
        let (available, total) = (size(path.space.available), size(path.space.total));
        let state = format!("{}  {}{why}", path.path, path.health);
        let text = format!("{state}, {available} of {total} available");
        put(&format!("store_path{idx}"), &text);
    }
    for (name, value) in report.counters.named() {
        put(name, &value);
    }
    for error in &report.errors {
        let text = format!("{}  {}", time(error.time), error.text);
        put("last_error", &text);
    }
}

fn of_space(page: &mut String, indent: &str, space: Space) {
    for (name, bytes) in [
        ("total space    ", space.total),
        ("free space     ", space.free),
        ("reserved space ", space.reserved),
        ("available space", space.available),
    ] {
        let size = format!("{:>9}", size(bytes));
        put(page, indent, &format!("disk {name}"), size);
    }
}

fn put(page: &mut String, indent: &str, name: &str, value: impl Display) {
    line(page, &format!("{indent}{name} = {value}"));
}

/// Escapes text from the network, so that it neither controls the terminal nor adds lines. The leading
/// white space is layout and stays.
fn line(page: &mut String, text: &str) {
    let words = text.trim_start_matches(['\n', '\t']);
    let layout = &text[..text.len() - words.len()];
    let _ = writeln!(page, "{layout}{}", Escaped(words));
}

/// A time as RFC 3339, in the local time zone.
pub(super) fn time(epoch: i64) -> String {
    let time = Local.timestamp_opt(epoch, 0).single();
    time.map_or_else(
        || epoch.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// A size as `fdfs_monitor` and `df -h` show it: 1 GB is 1024 MB.
pub(super) fn size(bytes: u64) -> String {
    const MB: u64 = 1 << 20;
    match bytes / MB {
        mb if mb >= 10 << 20 => format!("{} TB", mb >> 20),
        mb if mb >= 10 << 10 => format!("{} GB", mb >> 10),
        mb => format!("{mb} MB"),
    }
}
