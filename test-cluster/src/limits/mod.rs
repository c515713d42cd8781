//! Programs that measure what the servers promise under load: each brings up a small cluster of
//! its own, prints a table, and fails when a promise is broken.

mod connections;
pub mod idle;
pub mod memory;

use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

pub(crate) use connections::{allow_descriptors, connect_many, wait_accepted};

/// A folder for one measurement, removed with all that was stored.
pub(crate) fn scratch(folder: &Path, what: &str) -> anyhow::Result<TempDir> {
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::Builder::new().prefix(what).tempdir_in(folder))
        .with_context(|| format!("cannot make a folder in {}", folder.display()))
}
