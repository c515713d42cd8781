//! Secrets: read from files that only the owner may access, and never printed.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

/// A text that no log, error or printed configuration shows.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Longest file of secrets that is read, in bytes.
const SECRET_MAX: u64 = 64 << 10;

/// Reads the first line of a file that only its owner may access.
///
/// # Errors
/// As [`read_secrets`].
pub fn read_secret(path: &Path) -> io::Result<Secret> {
    let Secret(text) = read_secrets(path)?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// Reads a file that only its owner may access.
///
/// # Errors
/// It is a folder or cannot be read, others may access it, or it is too long.
pub fn read_secrets(path: &Path) -> io::Result<Secret> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "its mode {mode:03o} lets others than its owner use it: run chmod 600 {}",
            path.display()
        )));
    }
    if metadata.len() > SECRET_MAX {
        return Err(io::Error::other("too long for a secret"));
    }
    fs::read_to_string(path).map(Secret)
}

/// Printed in place of a secret.
const MASK: &str = "********";

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}
