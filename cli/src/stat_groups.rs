//! `tnv stat` and `tnv groups`.

use std::fmt::Write;

use anyhow::Context as _;
use base::Escaped;
use client::Stat;
use proto::cluster::Group;
use serde::Serialize;

use super::args::Ids;
use super::context::Context;
use super::failures::Failures;
use super::output::utc;

#[derive(Serialize)]
struct StatLine<'a> {
    id: &'a str,
    size: u64,
    /// RFC 3339, in UTC.
    modified: Option<String>,
    /// XXH3-128 in hex.
    checksum: Option<String>,
    /// RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// The name under which browsers save the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    group: &'a str,
    storages: Vec<StorageLine<'a>>,
}

#[derive(Serialize)]
struct StorageLine<'a> {
    address: &'a str,
    hostname: &'a str,
    version: &'a str,
    status: &'a str,
    /// Times in RFC 3339, in UTC.
    startup_time: Option<String>,
    join_time: Option<String>,
    beat_time: Option<String>,
}

pub(super) fn stat(context: &Context, ids: &Ids, failures: &mut Failures) -> anyhow::Result<()> {
    context.settings.user()?;
    for id in &ids.ids {
        let result = stat_one(context, id).with_context(|| format!("stat {id}"));
        failures.note_as_result(&context.output, ("id", id), result);
    }
    Ok(())
}

fn stat_one(context: &Context, id: &str) -> anyhow::Result<()> {
    let key = context.settings.key(id)?;
    let stat: Stat = context.client.stat(&key)?;
    let attributes = context.client.attributes(&key)?;
    let modified = stat.modified.and_then(utc);
    let line = StatLine {
        id,
        size: stat.size,
        modified,
        checksum: stat.checksum.map(|checksum| format!("{checksum:032x}")),
        expires: attributes.expires.and_then(utc),
        name: attributes.name.map(String::from),
    };
    let mut text = format!(
        "{id} size={} modified={} checksum={}",
        line.size,
        line.modified.as_deref().unwrap_or("-"),
        line.checksum.as_deref().unwrap_or("-"),
    );
    if let Some(expires) = &line.expires {
        let _ = write!(text, " expires={expires}");
    }
    // The last one, because it may have blanks.
    if let Some(name) = &line.name {
        let _ = write!(text, " name={name}");
    }
    context.output.result(&line, &text)
}

pub(super) fn groups(context: &Context) -> anyhow::Result<()> {
    let cluster = context.client.cluster().context("groups")?;
    for group in &cluster.groups {
        context.output.result(&line_of(group), &text_of(group))?;
    }
    Ok(())
}

fn line_of(group: &Group) -> GroupLine<'_> {
    let storages = group.storages.iter().map(|storage| StorageLine {
        address: &storage.address,
        hostname: &storage.hostname,
        version: &storage.version,
        status: &storage.status,
        startup_time: utc(storage.start_time),
        join_time: utc(storage.join_time),
        beat_time: utc(storage.beat_time),
    });
    GroupLine {
        group: &group.name,
        storages: storages.collect(),
    }
}

fn text_of(group: &Group) -> String {
    let mut text = group.name.clone();
    for storage in &group.storages {
        let beat = utc(storage.beat_time);
        let beat = beat.as_deref().unwrap_or("-");
        let _ = write!(
            text,
            "\n  {:<21} {:<7} {:<6} {}  last beat {beat}",
            Escaped(&storage.address),
            storage.status,
            Escaped(&storage.version),
            Escaped(&storage.hostname),
        );
    }
    text
}
