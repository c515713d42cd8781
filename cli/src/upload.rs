//! `tnv upload`.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::new_file_id;
use proto::FileKey;
use proto::storage::Attributes;
use serde::Serialize;

use super::args::UploadArgs;
use super::context::Context;
use super::exit::CliError;
use super::failures::Failures;
use super::progress::Progress;
use super::settings::usage_error;
use super::source_file::SourceFile;

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    id: &'a str,
    size: u64,
    /// XXH3-128 in hex.
    checksum: String,
}

pub(super) fn run(
    context: &Context,
    args: &UploadArgs,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    if (args.id.is_some() || args.name.is_some()) && args.files.len() > 1 {
        return Err(CliError::usage("--id and --name are for a single file").into());
    }
    // Check the user before anything is read.
    context.settings.user()?;
    let mut stored = Vec::new();
    for path in &args.files {
        let key = match &args.id {
            Some(id) => context.settings.key(id)?,
            None => context
                .settings
                .key_of(new_file_id(context.settings.user()?))?,
        };
        let name = path.display().to_string();
        let attributes = attributes(args, path)?;
        let result =
            upload(context, path, &key, &attributes).with_context(|| format!("upload {name}"));
        if failures.note_as_result(&context.output, ("file", &name), result) {
            stored.push((name, key));
        }
    }
    // If some files failed, the ids on stdout do not show which files they belong to.
    if stored.len() < args.files.len() && args.files.len() > 1 && !context.output.is_json() {
        for (name, key) in stored {
            context
                .output
                .diagnostics()
                .note(&format!("stored {name} as {}", key.file));
        }
    }
    Ok(())
}

/// The name of a file that has none in UTF-8 is not kept.
fn attributes(args: &UploadArgs, path: &Path) -> Result<Attributes, CliError> {
    let name = match &args.name {
        Some(name) => Some(name.parse().map_err(usage_error)?),
        None if path == Path::new("-") => None,
        None => {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.parse().ok())
        }
    };
    Ok(Attributes {
        expires: args.expires,
        name,
    })
}

fn upload(
    context: &Context,
    path: &Path,
    key: &FileKey,
    attributes: &Attributes,
) -> anyhow::Result<()> {
    let mut source = open(path)?;
    let size = source.size();
    let label = path.display().to_string();
    let progress = Progress::new(&context.output, &label, size);
    let progressed = &mut |n_bytes| progress.set(n_bytes);
    let uploaded = context
        .client
        .upload_with(key, attributes, &mut source, size, progressed)?;
    drop(progress);
    let line = Line {
        file: &label,
        id: key.file.as_str(),
        size: uploaded.size,
        checksum: format!("{:032x}", uploaded.checksum),
    };
    context.output.result(&line, key.file.as_str())
}

/// Opens the content. Input without a size, such as standard input, is copied to a temporary file,
/// because the size is sent before the content.
pub(super) fn open(path: &Path) -> anyhow::Result<SourceFile> {
    if path == Path::new("-") {
        return spool(&mut io::stdin().lock());
    }
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(CliError::local("it is a directory; --as PREFIX stores its files").into());
    }
    if metadata.is_file() {
        return Ok(SourceFile::new(file)?);
    }
    spool(&mut file)
}

fn spool(input: &mut impl Read) -> anyhow::Result<SourceFile> {
    let folder = spool_folder();
    let mut file = tempfile::tempfile_in(&folder)
        .with_context(|| format!("cannot make a temporary file in {}", folder.display()))?;
    io::copy(input, &mut file)
        .with_context(|| format!("cannot copy to a temporary file in {}", folder.display()))?;
    file.rewind()?;
    Ok(SourceFile::new(file)?)
}

/// The folder of the temporary file. Not /tmp, which is often in memory and too small for films.
fn spool_folder() -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => PathBuf::from("/var/tmp"),
    }
}
