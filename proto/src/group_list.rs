//! The text of the reply to GROUPS, in the layout of the C++ tracker.
//!
//! Each line is a label, right-aligned to 24 columns, a colon, a blank and the value. Line feeds separate the
//! lines, and a NUL ends the text.

use std::fmt::Write;
use std::str::Lines;

use crate::DecodeError;

/// One group in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its members in any state.
    pub storages: Vec<Storage>,
}

/// One storage in the list. Times are in the form of `ctime`, in the tracker's time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The version of its latest join.
    pub version: String,
    /// The name of its host.
    pub hostname: String,
    /// Its address for clients, `ip:port`.
    pub address: String,
    /// When its process started.
    pub startup_time: String,
    /// Time of its latest join.
    pub join_time: String,
    /// Time of its latest beat.
    pub beat_time: String,
    /// `ONLINE`, `ACTIVE` or `OFFLINE`.
    pub status: String,
}

impl Storage {
    /// The status of a member that clients are sent to.
    pub const ACTIVE: &'static str = "ACTIVE";
}

/// The body of the reply to GROUPS.
pub fn encode(groups: &[Group]) -> Vec<u8> {
    let mut text = String::new();
    line(&mut text, COUNT_OF_GROUPS, groups.len());
    for group in groups {
        line(&mut text, GROUPNAME, &group.name);
        line(&mut text, COUNT_OF_STORAGES, group.storages.len());
        let active = |storage: &&Storage| storage.status == Storage::ACTIVE;
        let n_active = group.storages.iter().filter(active).count();
        line(&mut text, COUNT_OF_ACTIVE_STORAGES, n_active);
        for storage in &group.storages {
            line(&mut text, VERSION, &storage.version);
            line(&mut text, HOSTNAME, &storage.hostname);
            line(&mut text, ADDRESS, &storage.address);
            line(&mut text, STARTUP_TIME, &storage.startup_time);
            line(&mut text, JOIN_TIME, &storage.join_time);
            line(&mut text, BEAT_TIME, &storage.beat_time);
            line(&mut text, STATUS, &storage.status);
        }
    }
    let mut body = text.into_bytes();
    body.push(0);
    body
}

/// Reads the body of the reply to GROUPS.
///
/// # Errors
/// A body that does not end in a NUL, is not UTF-8, or does not have the layout above.
pub fn decode(body: &[u8]) -> Result<Vec<Group>, DecodeError> {
    let (&last, text) = body.split_last().ok_or(DecodeError::Empty("group list"))?;
    if last != 0 {
        return Err(DecodeError::Unterminated("group list"));
    }
    let text = std::str::from_utf8(text).map_err(|_| DecodeError::NotUtf8("group list"))?;
    let mut lines = text.lines();
    let n_groups = count(&mut lines, COUNT_OF_GROUPS)?;
    (0..n_groups).map(|_| group(&mut lines)).collect()
}

const COUNT_OF_GROUPS: &str = "COUNT OF GROUPS";
const GROUPNAME: &str = "GROUPNAME";
const COUNT_OF_STORAGES: &str = "COUNT OF STORAGES";
const COUNT_OF_ACTIVE_STORAGES: &str = "COUNT OF ACTIVE STORAGES";
const VERSION: &str = "VERSION";
const HOSTNAME: &str = "HOSTNAME";
const ADDRESS: &str = "ADDRESS";
const STARTUP_TIME: &str = "STARTUP TIME";
const JOIN_TIME: &str = "JOIN TIME";
const BEAT_TIME: &str = "BEAT TIME";
const STATUS: &str = "STATUS";

fn line(text: &mut String, label: &str, value: impl std::fmt::Display) {
    if !text.is_empty() {
        text.push('\n');
    }
    write!(text, "{label:>24}: {value}").expect("a String takes every write");
}

fn group(lines: &mut Lines<'_>) -> Result<Group, DecodeError> {
    let name = value(lines, GROUPNAME)?;
    let n_storages = count(lines, COUNT_OF_STORAGES)?;
    count(lines, COUNT_OF_ACTIVE_STORAGES)?;
    let storages = (0..n_storages)
        .map(|_| storage(lines))
        .collect::<Result<_, _>>()?;
    Ok(Group { name, storages })
}

fn storage(lines: &mut Lines<'_>) -> Result<Storage, DecodeError> {
    Ok(Storage {
        version: value(lines, VERSION)?,
        hostname: value(lines, HOSTNAME)?,
        address: value(lines, ADDRESS)?,
        startup_time: value(lines, STARTUP_TIME)?,
        join_time: value(lines, JOIN_TIME)?,
        beat_time: value(lines, BEAT_TIME)?,
        status: value(lines, STATUS)?,
    })
}

fn count(lines: &mut Lines<'_>, label: &'static str) -> Result<usize, DecodeError> {
    let text = value(lines, label)?;
    text.parse().map_err(|_| DecodeError::Character {
        field: label,
        allowed: "digits",
        value: text,
    })
}

fn value(lines: &mut Lines<'_>, label: &'static str) -> Result<String, DecodeError> {
    lines
        .next()
        .and_then(|line| line.trim_start().strip_prefix(label))
        .and_then(|rest| rest.strip_prefix(": "))
        .map(str::to_owned)
        .ok_or(DecodeError::Truncated(label))
}
