//! Download targets that are streams and are never replaced: standard output, devices, FIFOs and open
//! descriptors.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::output::write_stdout;

/// Folders with the names of this process's descriptors.
const DESCRIPTORS: [&str; 3] = ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"];

/// An open stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// Standard output. A reader that closes it is no error.
    Stdout,
    Stderr,
    /// With its path.
    Opened(File, PathBuf),
}

impl Stream {
    /// Opens the stream of a path; `None` for a regular file, a folder or an unused name. Opening a FIFO
    /// waits for its reader.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn at(path: &Path) -> anyhow::Result<Option<Stream>> {
        let mut options = OpenOptions::new();
        match descriptor(path) {
            Some(1) => return Ok(Some(Stream::Stdout)),
            Some(2) => return Ok(Some(Stream::Stderr)),
            // Keep the earlier content of a redirected file.
            Some(_) => options.append(true),
            None if is_special(path) => options.write(true),
            None => return Ok(None),
        };
        let file = options
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(Stream::Opened(file, path.to_owned())))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// [`StdoutClosed`](super::output::StdoutClosed), or the error of the system.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Stream::Stdout => write_stdout(bytes),
            Stream::Stderr => io::stderr()
                .write_all(bytes)
                .context("cannot write to standard error"),
            Stream::Opened(file, path) => file
                .write_all(bytes)
                .with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

/// The descriptor of a path.
fn descriptor(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdout" => return Some(1),
        "/dev/stderr" => return Some(2),
        _ => {}
    }
    let folder = path.parent()?;
    let is_one = DESCRIPTORS.iter().any(|of| folder == Path::new(of));
    let number = path.file_name()?.to_str()?.parse().ok();
    number.filter(|_| is_one)
}

/// True if the path names something other than a regular file or a folder.
fn is_special(path: &Path) -> bool {
    let there = path.metadata();
    there.is_ok_and(|there| !there.is_file() && !there.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_several_names() {
        for (path, number) in [
            ("/dev/stdout", Some(1)),
            ("/dev/stderr", Some(2)),
            ("/dev/fd/1", Some(1)),
            ("/proc/self/fd/23", Some(23)),
            ("/dev/null", None),
            ("/dev/fd/x", None),
            ("stdout", None),
        ] {
            assert_eq!(descriptor(Path::new(path)), number, "{path}");
        }
    }
}
