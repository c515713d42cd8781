//! The programs that a cluster runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::plan::Role;

/// A folder with the programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
}

const NAMES: [&str; 5] = [
    "tnv-tracker",
    "tnv-idserver",
    "tnv-storage",
    "tnv-httpd",
    "tnv",
];

impl Binaries {
    /// The programs of the same build: in the folder of the running program or, for a test, in the one
    /// above.
    ///
    /// # Errors
    /// A program is missing; the message tells how to build it.
    pub fn beside_this_program() -> anyhow::Result<Binaries> {
        let program = std::env::current_exe().context("the path of this program")?;
        let folder = program.parent().context("the folder of this program")?;
        let folder = if folder.ends_with("deps") {
            folder.parent().unwrap_or(folder)
        } else {
            folder
        };
        Binaries::in_folder(folder)
    }

    /// Those in `folder`.
    ///
    /// # Errors
    /// One is missing.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Binaries> {
        for name in NAMES {
            if !folder.join(name).is_file() {
                bail!(
                    "{} lacks {name}: run `cargo build --workspace --bins`, with --release for the programs \
                     of the Makefile",
                    folder.display()
                );
            }
        }
        Ok(Binaries {
            folder: folder.to_owned(),
        })
    }

    /// The daemon of a role.
    pub fn daemon(&self, role: Role) -> PathBuf {
        self.folder.join(format!("tnv-{}", role.as_str()))
    }

    /// The command line `tnv`.
    pub fn tnv(&self) -> PathBuf {
        self.folder.join("tnv")
    }
}
