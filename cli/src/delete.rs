//! `tnv delete`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;

use anyhow::Context as _;
use base::Escaped;
use client::{ErrorKind, ListQuery, ListedFile, Usage};
use proto::FileId;
use serde::Serialize;

use super::args::DeleteArgs;
use super::context::Context;
use super::exit::CliError;
use super::failures::Failures;
use super::list;
use super::output::print_note;

/// Files that are deleted at a time.
const THREADS: usize = 8;
/// Files of one step. If none of them can be deleted, the rest is not tried.
const STEP: usize = 128;

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
        failures.note_named(&context.output, ("id", id), result);
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
        print_note("nothing was deleted");
        return Ok(());
    }
    let mut sums = SumLine {
        deleted: 0,
        failed: 0,
    };
    let mut listed = context.client.list(query);
    loop {
        let step: Vec<ListedFile> = listed.by_ref().take(STEP).collect::<Result<_, _>>()?;
        if step.is_empty() {
            break;
        }
        let failed = delete_step(context, &step);
        let n_failed = failed.len();
        sums.failed += n_failed as u64;
        sums.deleted += (step.len() - n_failed) as u64;
        for (id, error) in failed {
            let error = error.context(format!("delete {id}"));
            failures.note_named(&context.output, ("id", id.as_str()), Err(error));
        }
        if n_failed == step.len() {
            print_note("the rest is not tried; run this again to go on");
            break;
        }
    }
    let SumLine { deleted, failed } = sums;
    let text = format!("deleted={deleted} failed={failed}");
    context.output.result(&sums, &text)
}

/// Deletes these files, several at a time. Returns those that could not be deleted.
fn delete_step(context: &Context, step: &[ListedFile]) -> Vec<(FileId, anyhow::Error)> {
    let delete = |file: &ListedFile| {
        let key = context.settings.key_of(file.id.clone())?;
        match context.client.delete(&key) {
            // Somebody else has deleted it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map_err(anyhow::Error::from),
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = step
            .chunks(step.len().div_ceil(THREADS))
            .map(|part| {
                scope.spawn(move || {
                    let failed = part.iter().filter_map(|file| {
                        let error = delete(file).err()?;
                        Some((file.id.clone(), error))
                    });
                    failed.collect::<Vec<_>>()
                })
            })
            .collect();
        let parts = threads.into_iter().map(|thread| thread.join());
        parts
            .flat_map(|part| part.expect("a deletion does not panic"))
            .collect()
    })
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
