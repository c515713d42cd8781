//! `tnv download`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proto::FileKey;
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use super::Context;
use super::args::DownloadArgs;
use super::exit::Mistake;
use super::part::{Extent, Part};
use super::progress::Progress;
use super::stream::Stream;
use crate::{Download, ErrorKind, Stat};

/// Content is moved in pieces of this many bytes.
const BUFFER_LEN: usize = 512 << 10;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    file: &'a str,
    /// Bytes in the file now.
    size: u64,
    /// Whether the content was compared with the checksum of the storage.
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

/// What to write to, unless it is a file to be made.
fn stream(args: &DownloadArgs) -> anyhow::Result<Option<Stream>> {
    let stream = match &args.output {
        Some(path) if path == Path::new("-") => Some(Stream::Stdout),
        Some(path) => Stream::at(path)?,
        None => None,
    };
    if stream.is_some() && args.resume {
        return Err(Mistake::usage("--continue needs a file to go on with").into());
    }
    Ok(stream)
}

/// The file to make.
fn target(args: &DownloadArgs) -> Result<PathBuf, Mistake> {
    match &args.output {
        Some(path) => Ok(path.clone()),
        // An id may hold any printable character: it must not choose the directory.
        None if args.id.contains('/') || args.id == "." || args.id == ".." => {
            Err(Mistake::usage("this id is no file name: use --output"))
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
    let expected = expected(context, args, key)?;
    let offset = args.offset.unwrap_or(0);
    let mut source = context.client.read_range(key, offset, args.size)?;
    let mut hash = Xxh3::new();
    let progress = Progress::new(&context.output, &args.id, source.remaining());
    copy(&mut source, &mut hash, &progress, 0, &mut |bytes| {
        stream.write(bytes)
    })?;
    verify(expected.as_ref(), &hash, source.offset())?;
    Ok(())
}

fn to_file(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
    target: &Path,
) -> anyhow::Result<()> {
    let expected = expected(context, args, key)?;
    let mut part = Part::open(target, key, extent(args), args.force)?;
    let result = fill(context, args, key, &mut part, expected.as_ref());
    let (size, verified) = match result {
        Ok(done) => done,
        Err(error) => {
            // What arrived so far can be gone on with; what is wrong, or nothing, cannot.
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

/// Writes what is missing into the part. Returns its size and whether it was verified.
fn fill(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
    part: &mut Part,
    expected: Option<&Stat>,
) -> anyhow::Result<(u64, bool)> {
    let mut hash = Xxh3::new();
    let kept = match expected {
        Some(stat) if args.resume && part.len()? <= stat.size => keep(part, &mut hash)?,
        _ => {
            part.clear()?;
            0
        }
    };
    let offset = args.offset.unwrap_or(kept);
    let mut source = context.client.read_range(key, offset, args.size)?;
    let size = kept + source.remaining();
    let progress = Progress::new(&context.output, &args.id, size);
    copy(&mut source, &mut hash, &progress, kept, &mut |bytes| {
        let written = part.file().write_all(bytes);
        written.context("cannot write the file")
    })?;
    let verified = verify(expected, &hash, source.offset())?;
    Ok((size, verified))
}

/// What the storage says of the file, if all of it is asked for.
fn expected(
    context: &Context,
    args: &DownloadArgs,
    key: &FileKey,
) -> Result<Option<Stat>, crate::Error> {
    match extent(args) {
        Extent::Whole => context.client.stat(key).map(Some),
        Extent::Range => Ok(None),
    }
}

fn extent(args: &DownloadArgs) -> Extent {
    if args.offset.is_some() || args.size.is_some() {
        Extent::Range
    } else {
        Extent::Whole
    }
}

/// Hashes what the part holds and leaves it standing at its end. Returns its length.
fn keep(part: &mut Part, hash: &mut Xxh3) -> anyhow::Result<u64> {
    let mut buffer = vec![0; BUFFER_LEN];
    let mut len = 0;
    loop {
        match part.file().read(&mut buffer)? {
            0 => return Ok(len),
            n => {
                hash.update(&buffer[..n]);
                len += n as u64;
            }
        }
    }
}

fn copy(
    source: &mut Download,
    hash: &mut Xxh3,
    progress: &Progress,
    mut done: u64,
    write: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            n => {
                hash.update(&buffer[..n]);
                write(&buffer[..n])?;
                done += n as u64;
                progress.set(done);
            }
        }
    }
}

/// Compares size and checksum. Returns whether there was a checksum to compare with.
fn verify(expected: Option<&Stat>, hash: &Xxh3, size: u64) -> Result<bool, Mistake> {
    let Some(stat) = expected else {
        return Ok(false);
    };
    if size != stat.size {
        let message = format!("got {size} bytes of {}", stat.size);
        return Err(Mistake::damaged(message));
    }
    match stat.checksum {
        Some(checksum) if checksum != hash.digest128() => {
            Err(Mistake::damaged("the content does not match its checksum"))
        }
        checksum => Ok(checksum.is_some()),
    }
}

/// Whether what was written so far is not to be gone on with.
fn is_useless(error: &anyhow::Error) -> bool {
    let not_found = |cause: &(dyn std::error::Error + 'static)| {
        let error: Option<&crate::Error> = cause.downcast_ref();
        error.is_some_and(|error| error.kind() == ErrorKind::NotFound)
    };
    error.downcast_ref::<Mistake>().is_some() || error.chain().any(not_found)
}
