//! `tnv list` and `tnv usage`.

use anyhow::Context as _;
use client::{ListQuery, ListedFile, Usage};
use proto::FileId;
use serde::Serialize;

use super::args::SelectionArgs;
use super::context::Context;
use super::exit::CliError;
use super::output::{Lines, utc};
use super::settings::usage_error;

#[derive(Serialize)]
struct FileLine<'a> {
    id: &'a str,
    size: u64,
    /// RFC 3339, in UTC.
    modified: Option<String>,
}

#[derive(Serialize)]
struct UsageLine<'a> {
    app: &'a str,
    user: &'a str,
    files: u64,
    bytes: u64,
}

/// Prints the files as the storages tell them: neither this program nor a storage has all in memory.
pub(super) fn list(context: &Context, args: &SelectionArgs) -> anyhow::Result<()> {
    let query = query(context, args.prefix.as_deref(), args.since)?;
    let mut lines = Lines::default();
    for file in context.client.list(query) {
        // An error leaves the lines before it valid.
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                lines.finish()?;
                return Err(error).context("list");
            }
        };
        lines.add(&line_of(&file, context.output.is_json())?)?;
    }
    lines.finish()
}

fn line_of(file: &ListedFile, is_json: bool) -> anyhow::Result<String> {
    let line = FileLine {
        id: file.id.as_str(),
        size: file.size,
        modified: utc(file.modified),
    };
    if is_json {
        return Ok(serde_json::to_string(&line)?);
    }
    // An id may have blanks, but no tab.
    let modified = line.modified.as_deref().unwrap_or("-");
    Ok(format!("{}\t{}\t{modified}", line.id, line.size))
}

pub(super) fn usage(context: &Context, args: &SelectionArgs) -> anyhow::Result<()> {
    let query = query(context, args.prefix.as_deref(), args.since)?;
    let (app, user) = (query.app.clone(), query.user.clone());
    let Usage { files, bytes } = context.client.usage(query).context("usage")?;
    let (app, user) = (app.as_str(), user.as_str());
    let line = UsageLine {
        app,
        user,
        files,
        bytes,
    };
    let text = format!("{user} files={files} bytes={bytes}");
    context.output.result(&line, &text)
}

/// The files of the user of this command line.
///
/// # Errors
/// No user is given, or the prefix cannot begin an id.
pub(super) fn query(
    context: &Context,
    prefix: Option<&str>,
    since: Option<i64>,
) -> Result<ListQuery, CliError> {
    Ok(ListQuery {
        app: context.settings.app.clone(),
        user: context.settings.user()?.clone(),
        prefix: prefix.map(FileId::new).transpose().map_err(usage_error)?,
        since,
    })
}
