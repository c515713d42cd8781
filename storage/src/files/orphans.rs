//! `--list-orphans`: files without a row, rows without a file, and files of another size than
//! their rows say. It changes nothing and may run beside storages that serve.
//!
//! Rows are read in pages by primary key, and the file of each row is checked. Rows have no index
//! by path, and not all paths fit in memory. So the store paths are walked once for each
//! [`HASHES_MAX`] rows, with the hashes of one part of all paths in memory. A finding is checked
//! once more before it is printed: files and rows change meanwhile.

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
use crate::disks::expected_folder::Access;
use crate::disks::limiter::DiskCaller;
use crate::disks::store_paths::StorePaths;
use crate::file;
use age::Clock;
use entries::{is_folder_of_ours, path_of};

mod age;
mod entries;

/// Exit code when there are orphans.
const FOUND: u8 = 4;
/// Rows read at a time.
const PAGE: u32 = 1000;
/// Hashes in memory at a time, of 8 bytes each. The parts differ a little in size.
const HASHES_MAX: u64 = if cfg!(test) { 2 } else { 2 << 20 };
/// The row of a younger file may not be inserted yet.
const YOUNG: Duration = Duration::from_secs(3600);

/// Prints a line for each finding: `file` and its path; `row`, its path and its owner
/// (`APP/USER/ID`); or `damaged`, path, owner and reason; separated by tabs.
///
/// # Errors
/// The database or a store path cannot be read. What was printed until then is true.
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
    let n_rows = search.print_rows()?;
    let n_parts = n_rows.div_ceil(HASHES_MAX).max(1);
    for part in 0..n_parts {
        search.print_files(&|hash| hash % n_parts == part)?;
    }
    search.files.close();
    Ok(ExitCode::from(if search.n_found > 0 { FOUND } else { 0 }))
}

/// A finding about the file of a row.
enum Wrong {
    Missing,
    /// Another size, or no regular file.
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
    /// Prints the rows without a file of their size. Returns the number of rows.
    fn print_rows(&mut self) -> anyhow::Result<u64> {
        let mut n_rows = 0;
        self.each_row(|search, row| {
            n_rows += 1;
            if !row.is_deleting
                && let Some(wrong) = search.what_is_wrong(row)?
            {
                search.print_row(row, &wrong)?;
            }
            Ok(())
        })?;
        Ok(n_rows)
    }

    fn print_row(&mut self, row: &StoredRow, wrong: &Wrong) -> anyhow::Result<()> {
        let StoredRow {
            path,
            app,
            user,
            id,
            ..
        } = row;
        let owner = format!("{path}\t{app}/{user}/{id}");
        match wrong {
            Wrong::Missing => self.print(format_args!("row\t{owner}")),
            Wrong::Damaged(why) => self.print(format_args!("damaged\t{owner}\t{why}")),
        }
    }

    /// Prints the files without a row, of the paths whose hashes are in this part. Rows that are
    /// being deleted count as rows.
    fn print_files(&mut self, is_in_part: &dyn Fn(u64) -> bool) -> anyhow::Result<()> {
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

    /// Calls `work` for each row of the group, and for each row of the C++ system, which names no
    /// group.
    fn each_row(
        &mut self,
        mut work: impl FnMut(&mut Self, &StoredRow) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let group = self.config.group.as_str();
        for table in TABLES {
            let mut after = String::new();
            loop {
                let rows = self.files.rows_after(table, &after, PAGE)?;
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

    /// Prints the old files whose paths are chosen.
    fn walk(&mut self, is_chosen: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
        let store_paths: Vec<_> = self.paths.iter().cloned().collect();
        for (idx, store_path) in store_paths.iter().enumerate() {
            let root = &store_path.text;
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(&folder) {
                    // The folder was removed meanwhile.
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
                            self.print_if_old(idx, &path, &entry)?;
                        }
                    }
                }
            }
            // An unmounted volume looks like one without files.
            let entered = store_path.acquire(DiskCaller::Background);
            entered.with_context(|| root.clone())?;
        }
        Ok(())
    }

    fn print_if_old(
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
            self.print(format_args!("file\t{path}"))?;
        }
        Ok(())
    }

    /// Checks the file of a row, and that the row still exists.
    fn what_is_wrong(&self, row: &StoredRow) -> anyhow::Result<Option<Wrong>> {
        let place = self.paths.resolve(&row.path, DiskCaller::Background);
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

    fn print(&mut self, line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        self.n_found += 1;
        writeln!(self.out, "{line}")?;
        Ok(())
    }
}

/// True for temporary files, which the cleanup removes.
fn is_temporary(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn hash(path: &str) -> u64 {
    xxh3_64(path.as_bytes())
}

#[cfg(test)]
mod tests;
