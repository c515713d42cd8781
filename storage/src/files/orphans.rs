//! `--list-orphans`: files without a row, rows without a file, and files of another size than
//! their rows say. It changes nothing and may run beside storages that serve.
//!
//! Rows are read in pages by primary key, and the file of each row is checked. Rows have no index
//! by path, and not all paths fit in memory. So the store paths are walked once for each
//! [`HASHES_MAX`] rows, with the hashes of one part of all paths in memory. A finding is checked
//! once more before it is printed: files and rows change meanwhile.

use std::fs::DirEntry;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ::db::DbError;
use anyhow::{Context, bail, ensure};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Config, folder_of};
use crate::db::{self, FileRow, Files, StoredRow, rows_in_pages};
use crate::disks::expected_folder::Access;
use crate::disks::limiter::DiskCaller;
use crate::disks::store_paths::StorePaths;
use crate::file;
use age::Clock;
use walk::{is_folder_of_files, path_of, walk};

mod age;
mod walk;

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
    let search = Search {
        clocks: clocks.collect::<anyhow::Result<_>>()?,
        paths: StorePaths::open(config, Access::Read)?,
        files: db::open_for_reads(config).context("cannot open the database")?,
        config,
    };
    let mut findings = Findings { out, n_found: 0 };
    let n_rows = search.print_rows(&mut findings)?;
    let n_parts = n_rows.div_ceil(HASHES_MAX).max(1);
    for part in 0..n_parts {
        search.print_files(&mut findings, &|hash| hash % n_parts == part)?;
    }
    search.files.close();
    let has_findings = findings.n_found > 0;
    Ok(ExitCode::from(if has_findings { FOUND } else { 0 }))
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
}

/// Prints and counts the findings.
struct Findings<'a> {
    out: &'a mut dyn Write,
    n_found: u64,
}

impl Search<'_> {
    /// Prints the rows without a file of their size. Returns the number of rows.
    fn print_rows(&self, findings: &mut Findings<'_>) -> anyhow::Result<u64> {
        let mut n_rows = 0;
        for row in self.rows() {
            let row = row?;
            n_rows += 1;
            if !row.is_deleting
                && let Some(wrong) = self.what_is_wrong(&row)?
            {
                findings.print_row(&row, &wrong)?;
            }
        }
        Ok(n_rows)
    }

    /// Prints the files without a row, of the paths whose hashes are in this part. Rows that are
    /// being deleted count as rows.
    fn print_files(
        &self,
        findings: &mut Findings<'_>,
        is_in_part: &dyn Fn(u64) -> bool,
    ) -> anyhow::Result<()> {
        let mut hashes = Vec::new();
        for row in self.rows() {
            let hash = hash(&row?.file.path);
            hashes.extend(Some(hash).filter(|hash| is_in_part(*hash)));
        }
        hashes.sort_unstable();
        self.walk(findings, &|path| {
            let hash = hash(path);
            is_in_part(hash) && hashes.binary_search(&hash).is_err()
        })
    }

    /// The rows of the group, and those of the C++ system, which name no group.
    fn rows(&self) -> impl Iterator<Item = Result<StoredRow, DbError>> {
        let group = self.config.group.as_str();
        let is_ours = move |row: &StoredRow| row.file.group.as_deref().is_none_or(|of| of == group);
        rows_in_pages(|table, after| self.files.rows_after(table, after, PAGE))
            .filter(move |row| row.as_ref().map_or(true, is_ours))
    }

    /// Prints the old files whose paths are chosen.
    fn walk(
        &self,
        findings: &mut Findings<'_>,
        is_chosen: &dyn Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        for (store_path, clock) in self.paths.iter().zip(&self.clocks) {
            let root = &store_path.text;
            walk(root, &mut |folder, entry| {
                let path = path_of(folder, entry);
                let is_file = folder != root && !is_folder_of_files(entry) && !is_temporary(entry);
                if is_file
                    && is_chosen(&path)
                    && clock.age(entry).with_context(|| path.clone())? > YOUNG
                {
                    findings.print(format_args!("file\t{path}"))?;
                }
                Ok(())
            })?;
            // An unmounted volume looks like one without files.
            let there = store_path.resolve("", DiskCaller::Background);
            there.with_context(|| root.clone())?;
        }
        Ok(())
    }

    /// Checks the file of a row, and that the row still exists.
    fn what_is_wrong(&self, row: &StoredRow) -> anyhow::Result<Option<Wrong>> {
        let FileRow { path, size, .. } = &row.file;
        let at = self.paths.resolve(path, DiskCaller::Background);
        let wrong = match at.and_then(|at| file::size(&at)) {
            Ok(actual) if actual == *size => return Ok(None),
            Ok(actual) => Wrong::Damaged(format!("it has {actual} bytes, not {size}")),
            Err(e) if file::is_missing(&e) => Wrong::Missing,
            Err(e) if file::is_not_a_file(&e) => Wrong::Damaged(e.to_string()),
            Err(e) => bail!("{path}: {e}"),
        };
        let Some(key) = row.key() else {
            return Ok(Some(wrong));
        };
        let now = self.files.find(&key)?;
        let is_there = now.is_some_and(|now| now.path == *path);
        Ok(is_there.then_some(wrong))
    }
}

impl Findings<'_> {
    fn print_row(&mut self, row: &StoredRow, wrong: &Wrong) -> anyhow::Result<()> {
        let StoredRow { app, user, id, .. } = row;
        let owner = format!("{}\t{app}/{user}/{id}", row.file.path);
        match wrong {
            Wrong::Missing => self.print(format_args!("row\t{owner}")),
            Wrong::Damaged(why) => self.print(format_args!("damaged\t{owner}\t{why}")),
        }
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
