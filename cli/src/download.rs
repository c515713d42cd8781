//! `tnv download`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::{ByteRange, ContentCheck, Download, ErrorKind, RangeSpec};
use proto::{Address, FileKey};
use serde::Serialize;

use super::args::DownloadArgs;
use super::context::Context;
use super::exit::CliError;
use super::output;
use super::partial_file::{Extent, PartialFile};
use super::progress::Progress;
use super::stream::Stream;

/// Length of the buffer, in bytes.
const BUFFER_LEN: usize = 512 << 10;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    file: &'a str,
    /// Bytes in the file.
    size: u64,
    /// True if the content was compared with its checksum.
    verified: bool,
}

pub(super) fn run(context: &Context, args: &DownloadArgs) -> anyhow::Result<()> {
    let key = context.settings.key(&args.id)?;
    let result = stream(args).and_then(|stream| match stream {
        Some(mut stream) => to_stream(context, args, &key, &mut stream),
        None => to_file(context, args, &key, &target(args)?),
    });
    result.with_context(|| format!("download {}", args.id))
}

/// The stream to write to; `None` for a file.
fn stream(args: &DownloadArgs) -> anyhow::Result<Option<Stream>> {
    let stream = match &args.output {
        Some(path) if path == Path::new("-") => Some(Stream::Stdout),
        Some(path) => Stream::at(path)?,
        None => None,
    };
    if stream.is_some() && args.resume {
        return Err(CliError::usage("--continue needs a file to go on with").into());
    }
    Ok(stream)
}

/// The file to write.
fn target(args: &DownloadArgs) -> Result<PathBuf, CliError> {
    match &args.output {
        Some(path) => Ok(path.clone()),
        // An id may contain any printable character, and must not choose the folder.
        None if args.id.contains('/') || args.id == "." || args.id == ".." => {
            Err(CliError::usage("this id is no file name: use --output"))
        }
        None => Ok(PathBuf::from(&args.id)),
    }
}

fn to_stream(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
    stream: &mut Stream,
) -> anyhow::Result<()> {
    let (_, mut source) = open(context, args, key)?;
    let progress = Progress::new(&context.output, &args.id, source.remaining());
    copy(&mut source, &progress, 0, &mut |bytes| stream.write(bytes))
}

fn to_file(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
    target: &Path,
) -> anyhow::Result<()> {
    let mut part = PartialFile::open(target, key, extent(args), args.force)?;
    let result = fill(context, args, key, &mut part);
    let (size, verified) = match result {
        Ok(done) => done,
        Err(error) => {
            // `--continue` can use a correct beginning.
            if is_useless(&error) || !part.is_worth_keeping() {
                part.remove();
            }
            return Err(error);
        }
    };
    part.finish()?;
    let line = Line {
        id: &args.id,
        file: &target.display().to_string(),
        size,
        verified,
    };
    context.output.result(&line, "")
}

/// Downloads into the temporary file. If the content does not match its checksum, begins anew at
/// another storage. Returns the size, and whether the content was verified.
fn fill(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
    part: &mut PartialFile,
) -> anyhow::Result<(u64, bool)> {
    if args.resume
        && part.len()? > 0
        && let Some(done) = resume(context, args, key, part)?
    {
        return Ok(done);
    }
    let mut suspects: Vec<Address> = Vec::new();
    loop {
        part.clear()?;
        let (verified, mut source) = open(context, args, key)?;
        let size = source.remaining();
        let progress = Progress::new(&context.output, &args.id, size);
        let error = match copy(&mut source, &progress, 0, &mut |bytes| write(part, bytes)) {
            Ok(()) => return Ok((size, verified)),
            Err(error) => error,
        };
        // Storages that sent damaged content are asked last, so if only these send it again, no other
        // one has the file.
        let storages = damaged_at(&error);
        if storages.iter().all(|storage| suspects.contains(storage)) {
            return Err(error);
        }
        suspects.extend_from_slice(storages);
        drop(progress);
        output::print_error(&error.context("downloading it again from another storage"));
    }
}

/// Completes the beginning that an interrupted download left. `None` if it is of another file.
fn resume(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
    part: &mut PartialFile,
) -> anyhow::Result<Option<(u64, bool)>> {
    let stat = context.client.stat(key)?;
    if part.len()? > stat.size {
        return Ok(None);
    }
    let mut check = stat.checksum.map(ContentCheck::new);
    let kept = read_existing(part, check.as_mut())?;
    let rest = ByteRange {
        offset: kept,
        len: stat.size - kept,
    };
    let mut source = context.client.read_later(key, &stat, rest);
    let progress = Progress::new(&context.output, &args.id, stat.size);
    copy(&mut source, &progress, kept, &mut |bytes| {
        if let Some(check) = &mut check {
            check.update(bytes);
        }
        write(part, bytes)
    })?;
    if check.as_ref().is_some_and(|check| !check.is_good()) {
        log::debug!("{key}: what was left of an earlier download does not match the checksum");
        return Ok(None);
    }
    Ok(Some((source.offset(), check.is_some())))
}

/// Opens the requested part. True if it is compared with its checksum while it is read.
fn open(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
) -> Result<(bool, Download), client::Error> {
    match extent(args) {
        Extent::Whole => {
            let (stat, source) = context.client.open(key, RangeSpec::WHOLE)?;
            Ok((stat.checksum.is_some(), source))
        }
        Extent::Range => {
            let offset = args.offset.unwrap_or(0);
            Ok((false, context.client.read_range(key, offset, args.size)?))
        }
    }
}

fn extent(args: &DownloadArgs) -> Extent {
    if args.offset.is_some() || args.size.is_some() {
        Extent::Range
    } else {
        Extent::Whole
    }
}

/// Adds the existing content to the check and leaves the position at its end. Returns its length.
fn read_existing(
    part: &mut PartialFile,
    mut check: Option<&mut ContentCheck>,
) -> anyhow::Result<u64> {
    let mut buffer = vec![0; BUFFER_LEN];
    let mut len = 0;
    loop {
        match part.file().read(&mut buffer)? {
            0 => return Ok(len),
            n => {
                if let Some(check) = &mut check {
                    check.update(&buffer[..n]);
                }
                len += n as u64;
            }
        }
    }
}

fn copy(
    source: &mut Download,
    progress: &Progress,
    mut done: u64,
    write: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            n => {
                write(&buffer[..n])?;
                done += n as u64;
                progress.set(done);
            }
        }
    }
}

fn write(part: &mut PartialFile, bytes: &[u8]) -> anyhow::Result<()> {
    let written = part.file().write_all(bytes);
    written.context("cannot write the file")
}

/// The storages that sent damaged content, if this is the error.
fn damaged_at(error: &anyhow::Error) -> &[Address] {
    let errors = error.chain().filter_map(library_error);
    let storages = errors.filter_map(|error| match error {
        client::Error::Damaged { storages, .. } => Some(storages.as_slice()),
        _ => None,
    });
    storages.last().unwrap_or(&[])
}

/// The library's error in a cause, also inside an i/o error.
fn library_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a client::Error> {
    let carried = || cause.downcast_ref().and_then(client::Error::of_io);
    cause.downcast_ref().or_else(carried)
}

/// True if `--continue` cannot use the bytes written so far.
fn is_useless(error: &anyhow::Error) -> bool {
    let is_useless = |cause: &(dyn std::error::Error + 'static)| {
        library_error(cause).is_some_and(|error| {
            let is_replaced = matches!(error, client::Error::Replaced(_));
            is_replaced || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged)
        })
    };
    error.downcast_ref::<CliError>().is_some() || error.chain().any(is_useless)
}
