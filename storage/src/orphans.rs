//! Files without a row, rows without a file, and files of another size than their rows say:
//! `--list-orphans`. It changes nothing, and may run beside storages that serve.
//!
//! Rows are read in pages by primary key, and the file of each is looked at. Rows have no index by
//! path, and not all paths fit in memory. So the store paths are walked once for each
//! [`HASHES_MAX`] rows, with the hashes of one part of all paths in memory. A finding is looked at
//! once more before it is told: files and rows come and go meanwhile.

use std::fs::{self, DirEntry};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use proto::FileKey;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Config, folder_of};
use crate::db::{self, Files, StoredRow, TABLES};
use crate::file;
use crate::gate::Visitor;
use crate::path::StorePaths;
use crate::store_path::Access;
use crate::sweep::is_folder_name;
use age::Clock;

mod age;

/// The exit code when there are orphans.
const FOUND: u8 = 4;
/// Rows read at a time.
const PAGE: u32 = 1000;
/// Hashes in memory at a time, of 8 bytes each. Parts of all hashes differ a little in size.
const HASHES_MAX: u64 = if cfg!(test) { 2 } else { 2 << 20 };
/// A younger file may be of an upload whose row is yet to come.
const YOUNG: Duration = Duration::from_secs(3600);

/// Writes a line for each: `file` and its path; `row`, its path and whose it is (`APP/USER/ID`); or
/// `damaged`, the same and what is wrong; with tabs between them.
///
/// # Errors
/// The database or a store path cannot be read; what was told until then is true.
pub(crate) fn list(config: &Config, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    for path in &config.store_paths {
        ensure!(
            Path::new(path).is_dir(),
            "store path {path}: no such folder"
        );
    }
    let clock = |path: &String| Clock::of(folder_of(path)).with_context(|| path.clone());
    let clocks = config.store_paths.iter().map(clock);
    let mut search = Search {
        clocks: clocks.collect::<anyhow::Result<_>>()?,
        paths: StorePaths::open(config, Access::Read)?,
        files: db::open_present(config).context("cannot open the database")?,
        config,
        out,
        n_found: 0,
    };
    let n_rows = search.tell_rows()?;
    let n_parts = n_rows.div_ceil(HASHES_MAX).max(1);
    for part in 0..n_parts {
        search.tell_files(&|hash| hash % n_parts == part)?;
    }
    search.files.close();
    Ok(ExitCode::from(if search.n_found > 0 { FOUND } else { 0 }))
}

/// What is wrong with the file of a row.
enum Wrong {
    Missing,
    /// Of another size, or no file at all.
    Damaged(String),
}

struct Search<'a> {
    config: &'a Config,
    /// One for each store path.
    clocks: Vec<Clock>,
    paths: StorePaths,
    files: Box<dyn Files>,
    out: &'a mut dyn Write,
    n_found: u64,
}

impl Search<'_> {
    /// Tells of rows without a file of their size. Returns how many rows there are.
    fn tell_rows(&mut self) -> anyhow::Result<u64> {
        let mut n_rows = 0;
        self.each_row(|search, row| {
            n_rows += 1;
            if !row.is_deleting
                && let Some(wrong) = search.what_is_wrong(row)?
            {
                search.tell_row(row, &wrong)?;
            }
            Ok(())
        })?;
        Ok(n_rows)
    }

    fn tell_row(&mut self, row: &StoredRow, wrong: &Wrong) -> anyhow::Result<()> {
        let StoredRow {
            path,
            app,
            user,
            id,
            ..
        } = row;
        let owner = format!("{path}\t{app}/{user}/{id}");
        match wrong {
            Wrong::Missing => self.tell(format_args!("row\t{owner}")),
            Wrong::Damaged(why) => self.tell(format_args!("damaged\t{owner}\t{why}")),
        }
    }

    /// Tells of files without a row, of those whose paths have hashes of this part. Rows of deletions
    /// under way count as rows.
    fn tell_files(&mut self, is_in_part: &dyn Fn(u64) -> bool) -> anyhow::Result<()> {
        let mut hashes = Vec::new();
        self.each_row(|_, row| {
            hashes.extend(Some(hash(&row.path)).filter(|hash| is_in_part(*hash)));
            Ok(())
        })?;
        hashes.sort_unstable();
        self.walk(&|path| {
            let hash = hash(path);
            is_in_part(hash) && hashes.binary_search(&hash).is_err()
        })
    }

    /// Each row of the group, and those that name none, which the C++ system has written.
    fn each_row(
        &mut self,
        mut work: impl FnMut(&mut Self, &StoredRow) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let group = self.config.group.as_str();
        for table in TABLES {
            let mut after = String::new();
            loop {
                let rows = self.files.rows_behind(table, &after, PAGE)?;
                let ours = |row: &&StoredRow| row.group.as_deref().is_none_or(|of| of == group);
                for row in rows.iter().filter(ours) {
                    work(self, row)?;
                }
                match rows.last() {
                    Some(last) => after.clone_from(&last.id),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Tells of the old files that are chosen by their paths.
    fn walk(&mut self, is_chosen: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
        let store_paths: Vec<_> = self.paths.iter().cloned().collect();
        for (idx, store_path) in store_paths.iter().enumerate() {
            let root = &store_path.text;
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(&folder) {
                    // Somebody tidied up.
                    Err(e) if e.kind() == ErrorKind::NotFound && folder != *root => continue,
                    entries => entries.with_context(|| folder.clone())?,
                };
                for entry in entries {
                    let entry = entry.with_context(|| folder.clone())?;
                    if is_folder_of_ours(&entry) {
                        folders.push(path_of(&folder, &entry));
                    } else if folder != *root {
                        let path = path_of(&folder, &entry);
                        if !is_temporary(&entry) && is_chosen(&path) {
                            self.tell_if_old(idx, &path, &entry)?;
                        }
                    }
                }
            }
            // A volume that went away meanwhile looks like one without files.
            let entered = store_path.enter(Visitor::Chore);
            entered.with_context(|| root.clone())?;
        }
        Ok(())
    }

    fn tell_if_old(
        &mut self,
        store_path: usize,
        path: &str,
        entry: &DirEntry,
    ) -> anyhow::Result<()> {
        let metadata = match entry.metadata() {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            metadata => metadata.with_context(|| path.to_owned())?,
        };
        if self.clocks[store_path].age(&metadata)? > YOUNG {
            self.tell(format_args!("file\t{path}"))?;
        }
        Ok(())
    }

    /// What is wrong with the file of a row, if the row still is there.
    fn what_is_wrong(&self, row: &StoredRow) -> anyhow::Result<Option<Wrong>> {
        let place = self.paths.find(&row.path, Visitor::Chore);
        let wrong = match place.and_then(|place| file::size(&place)) {
            Ok(size) if size == row.size => return Ok(None),
            Ok(size) => Wrong::Damaged(format!("it has {size} bytes, not {}", row.size)),
            Err(e) if file::is_missing(&e) => Wrong::Missing,
            Err(e) if file::is_not_a_file(&e) => Wrong::Damaged(e.to_string()),
            Err(e) => bail!("{}: {e}", row.path),
        };
        let StoredRow { app, user, id, .. } = row;
        let (Ok(app), Ok(user), Ok(file)) = (app.parse(), user.parse(), id.parse()) else {
            return Ok(Some(wrong));
        };
        let now = self.files.find(&FileKey { app, user, file })?;
        let is_there = now.is_some_and(|now| now.path == row.path);
        Ok(is_there.then_some(wrong))
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        self.n_found += 1;
        writeln!(self.out, "{line}")?;
        Ok(())
    }
}

/// Whether it is a folder that holds files.
fn is_folder_of_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.to_str().is_some_and(is_folder_name) && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// Whether it is of an upload: the cleanup removes these.
fn is_temporary(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn path_of(folder: &str, entry: &DirEntry) -> String {
    format!("{folder}/{}", entry.file_name().to_string_lossy())
}

fn hash(path: &str) -> u64 {
    xxh3_64(path.as_bytes())
}

#[cfg(test)]
mod tests;
