//! Sets: files whose ids have a prefix in common. A folder is stored as a set, and a set is read into a folder.

use std::path::Path;

use anyhow::Context as _;
use client::{ErrorKind, Stat, checksum_of};
use proto::FileKey;
use proto::storage::Attributes;
use serde::Serialize;

use super::args::{DownloadArgs, UploadArgs};
use super::context::Context;
use super::download::{self, Wanted};
use super::exit::CliError;
use super::failures::Failures;
use super::folder::{Found, Walk, path_below};
use super::list;
use super::many::{Counts, Names, Outcome, work_on};
use super::upload;

#[derive(Serialize)]
struct Stored {
    stored: u64,
    /// Files that the cluster had already.
    present: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Downloaded {
    downloaded: u64,
    /// Files that the folder had already.
    present: u64,
    failed: u64,
}

/// Stores files and folders under ids that begin with `prefix`. A file that the cluster has already is not sent
/// again, so a second run completes a set.
pub(super) fn upload(
    context: &Context,
    args: &UploadArgs,
    prefix: &str,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    // Check the user before anything is read.
    context.settings.user()?;
    if args.files.iter().any(|path| path == Path::new("-")) {
        return Err(
            CliError::usage("--as needs files or folders; standard input has no name").into(),
        );
    }
    let prefix = prefix.trim_end_matches('/');
    let names = Names {
        kind: "file",
        verb: "upload",
    };
    let found = args.files.iter().flat_map(|path| Walk::new(path)).map(Ok);
    let name_of = |found: &Found| found.path.display().to_string();
    // The last part of the id is the name.
    let attributes = Attributes {
        expires: args.expires,
        name: None,
    };
    let counts = work_on(context, failures, names, found, name_of, |found| {
        let relative = found.relative.as_ref();
        let relative = relative.map_err(|reason| CliError::local(reason.as_str()))?;
        let key = context.settings.key(&format!("{prefix}/{relative}"))?;
        store(context, &found.path, &key, &attributes)
    })?;
    let Counts {
        done: stored,
        present,
        failed,
    } = counts;
    let text = format!("stored={stored} present={present} failed={failed}");
    let line = Stored {
        stored,
        present,
        failed,
    };
    context.output.result(&line, &text)
}

fn store(
    context: &Context,
    path: &Path,
    key: &FileKey,
    attributes: &Attributes,
) -> anyhow::Result<Outcome> {
    if is_stored(context, path, key)? {
        return Ok(Outcome::Present);
    }
    let mut source = upload::open(path)?;
    let size = source.size();
    let stored = context
        .client
        .upload_with(key, attributes, &mut source, size, &mut |_| ());
    match stored {
        Err(error) if error.kind() == ErrorKind::Exists && is_stored(context, path, key)? => {
            Ok(Outcome::Present)
        }
        stored => Ok(stored.map(|_| Outcome::Done)?),
    }
}

/// True if the cluster has this file.
///
/// # Errors
/// It has another file of this name, or cannot tell.
fn is_stored(context: &Context, path: &Path, key: &FileKey) -> anyhow::Result<bool> {
    let stat = match context.client.stat(key) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        stat => stat?,
    };
    if is_content(context, path, key, &stat)? {
        return Ok(true);
    }
    let text = format!("{} is stored with other content; delete it first", key.file);
    Err(CliError::exists(text).into())
}

/// True if a local file has the content of a stored one.
fn is_content(context: &Context, path: &Path, key: &FileKey, stat: &Stat) -> anyhow::Result<bool> {
    let mut source = upload::open(path)?;
    if source.size() != stat.size {
        return Ok(false);
    }
    let stored = match stat.checksum {
        Some(checksum) => checksum,
        // A C++ storage has none.
        None => checksum_of(&mut context.client.download(key)?)?,
    };
    Ok(checksum_of(&mut source)? == stored)
}

/// Reads the files whose ids begin with `prefix` into a folder. The part of the ids up to the last slash of the
/// prefix is left out. A file that the folder has already is not read again.
pub(super) fn download(
    context: &Context,
    args: &DownloadArgs,
    prefix: &str,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    let Some(folder) = args
        .output
        .as_deref()
        .filter(|path| *path != Path::new("-"))
    else {
        return Err(CliError::usage("--prefix needs a folder: --output DIR").into());
    };
    let made = std::fs::create_dir_all(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    let listed = context
        .client
        .list(list::query(context, Some(prefix), None)?);
    let listed = listed.map(|file| file.context("list"));
    let names = Names {
        kind: "id",
        verb: "download",
    };
    let common = prefix.rfind('/').map_or(0, |at| at + 1);
    let counts = work_on(
        context,
        failures,
        names,
        listed,
        |file| file.id.to_string(),
        |file| {
            let id = file.id.as_str();
            let target = path_below(folder, &id[common..])?;
            fetch(context, &Wanted::of_set(id, args), &target)
        },
    )?;
    let Counts {
        done: downloaded,
        present,
        failed,
    } = counts;
    let text = format!("downloaded={downloaded} present={present} failed={failed}");
    let line = Downloaded {
        downloaded,
        present,
        failed,
    };
    context.output.result(&line, &text)
}

fn fetch(context: &Context, wanted: &Wanted, target: &Path) -> anyhow::Result<Outcome> {
    let key = context.settings.key(&wanted.id)?;
    let is_file = target.symlink_metadata().is_ok_and(|found| found.is_file());
    if is_file && is_content(context, target, &key, &context.client.stat(&key)?)? {
        return Ok(Outcome::Present);
    }
    download::to_file(context, wanted, &key, target)?;
    Ok(Outcome::Done)
}
