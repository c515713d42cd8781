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

/// A file to download.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: String,
    /// First byte and number of bytes; both absent for the whole file.
    range: (Option<u64>, Option<u64>),
    /// Go on with an interrupted download.
    resume: bool,
    /// Overwrite an existing file.
    force: bool,
    /// One of several at a time, which show no progress.
    is_of_set: bool,
}

impl Wanted {
    /// A whole file of a set.
    pub(super) fn of_set(id: &str, args: &DownloadArgs) -> Wanted {
        Wanted {
            id: id.to_owned(),
            range: (None, None),
            resume: args.resume,
            force: args.force,
            is_of_set: true,
        }
    }

    fn progress(&self, context: &Context, size: u64) -> Progress {
        match self.is_of_set {
            true => Progress::hidden(),
            false => Progress::new(&context.output, &self.id, size),
        }
    }

    fn extent(&self) -> Extent {
        match self.range {
            (None, None) => Extent::Whole,
            _ => Extent::Range,
        }
    }
}

pub(super) fn run(context: &Context, args: &DownloadArgs) -> anyhow::Result<()> {
    let wanted = Wanted {
        range: (args.offset, args.size),
        is_of_set: false,
        ..Wanted::of_set(args.id.as_deref().unwrap_or_default(), args)
    };
    let key = context.settings.key(&wanted.id)?;
    let result = stream(args).and_then(|stream| match stream {
        Some(mut stream) => to_stream(context, &wanted, &key, &mut stream),
        None => {
            let target = target(&wanted, args.output.as_deref())?;
            let (size, verified) = to_file(context, &wanted, &key, &target)?;
            let line = Line {
                id: &wanted.id,
                file: &target.display().to_string(),
                size,
                verified,
            };
            context.output.result(&line, "")
        }
    });
    result.with_context(|| format!("download {}", wanted.id))
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
fn target(wanted: &Wanted, output: Option<&Path>) -> Result<PathBuf, CliError> {
    let id = wanted.id.as_str();
    match output {
        Some(path) => Ok(path.to_owned()),
        // An id may contain any printable character, and must not choose the folder.
        None if id.contains('/') || id == "." || id == ".." => {
            Err(CliError::usage("this id is no file name: use --output"))
        }
        None => Ok(PathBuf::from(id)),
    }
}

fn to_stream(
    context: &Context,
    wanted: &Wanted,
    key: &FileKey,
    stream: &mut Stream,
) -> anyhow::Result<()> {
    let (_, mut source) = open(context, wanted, key)?;
    let progress = wanted.progress(context, source.remaining());
    copy(&mut source, &progress, 0, &mut |bytes| stream.write(bytes))
}

/// Downloads a file. Returns its size, and whether the content was compared with its checksum.
pub(super) fn to_file(
    context: &Context,
    wanted: &Wanted,
    key: &FileKey,
    target: &Path,
) -> anyhow::Result<(u64, bool)> {
    let mut part = PartialFile::open(target, key, wanted.extent(), wanted.force)?;
    let result = fill(context, wanted, key, &mut part);
    let done = match result {
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
    Ok(done)
}

/// Downloads into the temporary file. If the content does not match its checksum, begins anew at
/// another storage. Returns the size, and whether the content was verified.
fn fill(
    context: &Context,
    wanted: &Wanted,
    key: &FileKey,
    part: &mut PartialFile,
) -> anyhow::Result<(u64, bool)> {
    if wanted.resume
        && part.len()? > 0
        && let Some(done) = resume(context, wanted, key, part)?
    {
        return Ok(done);
    }
    let mut suspects: Vec<Address> = Vec::new();
    loop {
        part.clear()?;
        let (verified, mut source) = open(context, wanted, key)?;
        let size = source.remaining();
        let progress = wanted.progress(context, size);
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
        let error = error.context("downloading it again from another storage");
        context.output.diagnostics().error(&error, None, false);
    }
}

/// Completes the beginning that an interrupted download left. `None` if it is of another file.
fn resume(
    context: &Context,
    wanted: &Wanted,
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
    let progress = wanted.progress(context, stat.size);
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
    wanted: &Wanted,
    key: &FileKey,
) -> Result<(bool, Download), client::Error> {
    match wanted.extent() {
        Extent::Whole => {
            let (stat, source) = context.client.open(key, RangeSpec::WHOLE)?;
            Ok((stat.checksum.is_some(), source))
        }
        Extent::Range => {
            let (offset, size) = wanted.range;
            let offset = offset.unwrap_or(0);
            Ok((false, context.client.read_range(key, offset, size)?))
        }
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
