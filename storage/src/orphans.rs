//! Files without a row, rows without a file, and files of another size than their rows say:
//! `--list-orphans`. It changes nothing, and may run beside storages that serve.
//!
//! Rows have no index by path, and neither all rows nor all files fit in memory. So paths are
//! compared by their hashes, in slices: the rows of a slice are read, the files are walked and tick
//! them off, and the rows are read again for those that were not, or whose file has another size. What looks like an orphan is
//! looked at once more before it is told: files and rows come and go meanwhile.

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
use slice::Slice;

mod age;
mod slice;

/// The exit code when there are orphans.
const FOUND: u8 = 4;
/// Rows read at a time.
const PAGE: u32 = 1000;
/// Most rows of a slice: of each its hash and its size are in memory, 16 bytes.
const SLICE_MAX: usize = 2 << 20;
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
    let mut slice = Slice::first(SLICE_MAX);
    loop {
        search.read_rows(&mut slice)?;
        search.walk(&mut slice)?;
        search.tell_rows(&slice)?;
        match slice.next() {
            Some(next) => slice = next,
            None => break,
        }
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
    /// Also rows of deletions under way: their files may be there or not.
    fn read_rows(&mut self, slice: &mut Slice) -> anyhow::Result<()> {
        self.each_row(|_, row| {
            slice.add(hash(&row.path), row.size);
            Ok(())
        })?;
        slice.close();
        Ok(())
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

    fn walk(&mut self, slice: &mut Slice) -> anyhow::Result<()> {
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
                        self.meet(slice, idx, &path_of(&folder, &entry), &entry)?;
                    }
                }
            }
            // A volume that went away meanwhile looks like one without files.
            let entered = store_path.enter(Visitor::Chore);
            entered.with_context(|| root.clone())?;
        }
        Ok(())
    }

    /// Temporary files are the sweep's business.
    fn meet(
        &mut self,
        slice: &mut Slice,
        store_path: usize,
        path: &str,
        entry: &DirEntry,
    ) -> anyhow::Result<()> {
        let is_temporary = entry.file_name().as_encoded_bytes().starts_with(b".");
        let hash = hash(path);
        if is_temporary || !slice.covers(hash) {
            return Ok(());
        }
        let metadata = match entry.metadata() {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            metadata => metadata.with_context(|| path.to_owned())?,
        };
        let size = metadata.is_file().then_some(metadata.len());
        if slice.tick_off(hash, size) {
            return Ok(());
        }
        if self.clocks[store_path].age(&metadata)? > YOUNG {
            self.tell(format_args!("file\t{path}"))?;
        }
        Ok(())
    }

    fn tell_rows(&mut self, slice: &Slice) -> anyhow::Result<()> {
        self.each_row(|search, row| {
            if row.is_deleting || !slice.lacks(hash(&row.path)) {
                return Ok(());
            }
            let Some(what) = search.what_is_wrong(row)? else {
                return Ok(());
            };
            let StoredRow {
                path,
                app,
                user,
                id,
                ..
            } = row;
            match what {
                Wrong::Missing => search.tell(format_args!("row\t{path}\t{app}/{user}/{id}")),
                Wrong::Damaged(why) => {
                    search.tell(format_args!("damaged\t{path}\t{app}/{user}/{id}\t{why}"))
                }
            }
        })
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

fn path_of(folder: &str, entry: &DirEntry) -> String {
    format!("{folder}/{}", entry.file_name().to_string_lossy())
}

fn hash(path: &str) -> u64 {
    xxh3_64(path.as_bytes())
}
