//! The temporary file of a download, `.NAME.HASH.tnv-part` beside the target.
//!
//! It is renamed to the target when the content is complete. `--continue` uses the file that an
//! interrupted download left. The hash is of application, user and id, so that a download never
//! continues the content of another file. A range is written to `.NAME.HASH.tnv-range`, which is never
//! continued.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proto::FileKey;
use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64;

use super::exit::CliError;

/// Limit on a file name on Linux, in bytes.
const NAME_MAX: usize = 255;

/// The part of a stored file that is downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Range,
}

/// An open temporary file. It is locked against a second download.
pub(super) struct PartialFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
    overwrite: bool,
    extent: Extent,
}

impl PartialFile {
    /// Opens or creates the temporary file of `target`, with its earlier content.
    ///
    /// # Errors
    /// The target exists and must not be overwritten, another process writes the temporary file, or
    /// the system refuses.
    pub(super) fn open(
        target: &Path,
        key: &FileKey,
        extent: Extent,
        overwrite: bool,
    ) -> anyhow::Result<PartialFile> {
        check_folders(target)?;
        if !overwrite && target.symlink_metadata().is_ok() {
            return Err(exists(target).into());
        }
        let path = part_path(target, key, extent)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process is writing {}", path.display());
                return Err(CliError::local(message).into());
            }
            // A file system without locks allows downloads nevertheless.
            Err(TryLockError::Error(error)) => log::debug!("cannot lock {path:?}: {error}"),
        }
        Ok(PartialFile {
            file,
            path,
            target: target.to_owned(),
            overwrite,
            extent,
        })
    }

    /// Length, in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// True if `--continue` can use its content.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.extent == Extent::Whole && self.len().is_ok_and(|len| len > 0)
    }

    /// Removes the content.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(())
    }

    /// The file, at its current position.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Syncs it and renames it to the target, which is then complete also after a power failure.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.file
            .sync_all()
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        let renamed = if self.overwrite {
            std::fs::rename(&self.path, &self.target)
        } else {
            rename_new(&self.path, &self.target)
        };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.target).into())
            }
            renamed => renamed.with_context(|| format!("cannot write {}", self.target.display())),
        }
    }

    /// Removes it.
    pub(super) fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::debug!("cannot remove {:?}: {error}", self.path);
        }
    }
}

/// Renames without overwriting, if the file system supports that.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => {
            std::fs::rename(from, to)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => Ok(renamed?),
    }
}

/// The path of the temporary file. It has a hash instead of the id, which may contain a slash and may
/// be long. A long name is cut, and the hash then includes the whole name.
fn part_path(target: &Path, key: &FileKey, extent: Extent) -> Result<PathBuf, CliError> {
    let name = target
        .file_name()
        .ok_or_else(|| CliError::usage(format!("{} is no file name", target.display())))?;
    let suffix = match extent {
        Extent::Whole => "part",
        Extent::Range => "range",
    };
    let whole = name.as_bytes();
    let added = ".".len() + format!(".{:016x}.tnv-{suffix}", 0).len();
    let kept = cut(whole, name_max(target).saturating_sub(added));
    let mut hashed = key.to_string().into_bytes();
    if kept.len() < whole.len() {
        hashed.push(0);
        hashed.extend_from_slice(whole);
    }
    let hash = xxh3_64(&hashed);
    let mut part = OsString::from(".");
    part.push(OsStr::from_bytes(kept));
    part.push(format!(".{hash:016x}.tnv-{suffix}"));
    Ok(target.with_file_name(part))
}

/// Limit on a name in the target's folder, in bytes.
fn name_max(target: &Path) -> usize {
    let folder = target.parent().filter(|path| !path.as_os_str().is_empty());
    let told = statvfs(folder.unwrap_or(Path::new("."))).ok();
    let told = told.and_then(|stat| usize::try_from(stat.f_namemax).ok());
    told.filter(|max| *max > 0)
        .unwrap_or(NAME_MAX)
        .min(NAME_MAX)
}

/// The first bytes of a name, at most `max`, without a cut character of UTF-8.
fn cut(name: &[u8], max: usize) -> &[u8] {
    if name.len() <= max {
        return name;
    }
    let is_start = |at: &usize| name[*at] & 0xc0 != 0x80;
    let end = (0..=max).rev().find(is_start);
    &name[..end.unwrap_or(0)]
}

/// Checks that the target is not a folder and that its folder exists, which the name of the temporary file would hide.
fn check_folders(target: &Path) -> Result<(), CliError> {
    let name = target.display();
    // A link is replaced, not the folder that it leads to.
    if target
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
    {
        let text = format!("{name} is a directory; name a file in it");
        return Err(CliError::local(text));
    }
    let folder = target.parent().filter(|path| !path.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            let text = format!(
                "cannot write {name}: there is no folder {}",
                folder.display()
            );
            Err(CliError::local(text))
        }
        _ => Ok(()),
    }
}

fn exists(target: &Path) -> CliError {
    CliError::local(format!(
        "{} exists; --force overwrites it",
        target.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_that_differ_at_their_end_have_parts_of_their_own() {
        let key = FileKey {
            app: "app".parse().unwrap(),
            user: "user".parse().unwrap(),
            file: "id".parse().unwrap(),
        };
        let part = |name: &str| part_path(Path::new(name), &key, Extent::Whole).unwrap();
        let [one, other] = ["1", "2"].map(|end| "x".repeat(NAME_MAX - 1) + end);
        let (one, other) = (part(&one), part(&other));
        assert_ne!(one, other);
        for part in [one, other] {
            let name = part.file_name().unwrap();
            assert_eq!(name.len(), NAME_MAX, "{name:?}");
        }
    }
}
