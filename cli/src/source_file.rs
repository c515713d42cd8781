//! A local file whose changes during an upload are detected.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

/// Reads a file, and fails at its end and at each seek if the file changed since it was opened. The
/// client reads the end before it sends the last piece, so a storage never gets a complete mixture.
#[derive(Debug)]
pub(super) struct SourceFile {
    file: File,
    version: Version,
}

/// Size, and the times of the latest change of content and inode. No program can set the latter back.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl SourceFile {
    /// The file in its current version.
    ///
    /// # Errors
    /// Its metadata cannot be read.
    pub(super) fn new(file: File) -> io::Result<SourceFile> {
        let version = Version::of(&file.metadata()?);
        Ok(SourceFile { file, version })
    }

    /// Size when it was opened, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.version.size
    }

    fn check(&self) -> io::Result<()> {
        if Version::of(&self.file.metadata()?) == self.version {
            return Ok(());
        }
        Err(io::Error::other(
            "the file changed while it was uploaded; upload it again when nobody writes to it",
        ))
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Version {
        Version {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Read for SourceFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        if n == 0 {
            self.check()?;
        }
        Ok(n)
    }
}

impl Seek for SourceFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.check()?;
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_changes_cannot_be_read_to_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"before").unwrap();
        let mut source = SourceFile::new(file.reopen().unwrap()).unwrap();
        let mut content = String::new();
        source.read_to_string(&mut content).unwrap();
        assert_eq!((content.as_str(), source.size()), ("before", 6));
        source.rewind().unwrap();
        // Within one tick of the kernel's clock a change cannot be detected.
        test_support::until("a change is seen", || {
            file.rewind().unwrap();
            file.write_all(b"beFORE").unwrap();
            source.rewind().is_err()
        });
        let error = source.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("changed while"), "{error}");
    }
}
