//! `tnv delete`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context as _;
use base::Escaped;
use client::{ErrorKind, ListQuery, ListedFile, Usage};
use serde::Serialize;

use super::args::DeleteArgs;
use super::context::Context;
use super::exit::CliError;
use super::failures::Failures;
use super::list;
use super::many::{Counts, Names, Outcome, work_on};

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    deleted: bool,
}

#[derive(Serialize)]
struct SumLine {
    deleted: u64,
    failed: u64,
}

pub(super) fn run(
    context: &Context,
    args: &DeleteArgs,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    context.settings.user()?;
    if args.all_of_user || args.prefix.is_some() {
        let query = list::query(context, args.prefix.as_deref(), None)?;
        return delete_listed(context, query, args.yes, failures).context("delete");
    }
    for id in &args.ids {
        let result = delete_one(context, id).with_context(|| format!("delete {id}"));
        failures.note_as_result(&context.output, ("id", id), result);
    }
    Ok(())
}

fn delete_one(context: &Context, id: &str) -> anyhow::Result<()> {
    context.client.delete(&context.settings.key(id)?)?;
    context.output.result(&Line { id, deleted: true }, "")
}

/// Deletes all files of a list, in steps. A file that is stored meanwhile may stay.
fn delete_listed(
    context: &Context,
    query: ListQuery,
    is_agreed: bool,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    let Usage { files, bytes } = context.client.usage(query.clone())?;
    let whose = format!("{}/{}", query.app, query.user);
    if files > 0 && !is_agreed && !is_wanted(&format!("{files} files ({bytes} bytes) of {whose}"))?
    {
        context.output.diagnostics().note("nothing was deleted");
        return Ok(());
    }
    let listed = context.client.list(query).map(|file| Ok(file?));
    let names = Names {
        kind: "id",
        verb: "delete",
    };
    let counts = work_on(
        context,
        failures,
        names,
        listed,
        |file| file.id.to_string(),
        |file| delete_if_there(context, file),
    )?;
    let Counts {
        done: deleted,
        failed,
        ..
    } = counts;
    let text = format!("deleted={deleted} failed={failed}");
    context.output.result(&SumLine { deleted, failed }, &text)
}

fn delete_if_there(context: &Context, file: &ListedFile) -> anyhow::Result<Outcome> {
    let key = context.settings.key_of(file.id.clone())?;
    match context.client.delete(&key) {
        // Somebody else has deleted it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::Done),
        deleted => Ok(deleted.map(|()| Outcome::Done)?),
    }
}

/// Asks on the terminal.
///
/// # Errors
/// Standard input is no terminal.
fn is_wanted(what: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        let text = format!("this would delete {what}; confirm it with --yes");
        return Err(CliError::usage(text).into());
    }
    let _ = write!(io::stderr(), "Delete {}? [y/N] ", Escaped(what));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
