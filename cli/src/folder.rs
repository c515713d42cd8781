//! The files below a local folder, and paths below it for files that are downloaded.

use std::fs::{self, ReadDir};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::exit::CliError;

/// Limit on folders within folders. Each holds a descriptor while it is read.
const DEPTH_MAX: usize = 64;

/// A file, or a name that is none that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// The path below the folder that is read, with slashes; or the reason why there is none.
    pub(super) relative: Result<String, String>,
}

/// Reads a folder and its folders. Holds no list of files.
pub(super) struct Walk {
    root: PathBuf,
    /// The folders that are being read, from the root down.
    open: Vec<ReadDir>,
    /// The root, if it is not read yet.
    first: Option<PathBuf>,
}

impl Walk {
    /// The files below a folder, or the file at this path. A symbolic link counts as the file that it names.
    pub(super) fn new(root: &Path) -> Walk {
        let is_folder = root.is_dir();
        let base = if is_folder { Some(root) } else { root.parent() };
        Walk {
            root: base.unwrap_or(Path::new("")).to_owned(),
            open: Vec::new(),
            first: Some(root.to_owned()),
        }
    }

    /// The file at this path; `None` for a folder, which is read next.
    fn visit(&mut self, path: PathBuf, is_root: bool) -> Option<Found> {
        let relative = match self.look(&path, is_root) {
            Ok(true) => self.relative(&path),
            Ok(false) => return None,
            Err(reason) => Err(reason),
        };
        Some(Found { path, relative })
    }

    /// True for a file. Opens a folder.
    fn look(&mut self, path: &Path, is_root: bool) -> Result<bool, String> {
        let metadata = fs::metadata(path).map_err(|e| e.to_string())?;
        if metadata.is_file() {
            return Ok(true);
        }
        if !metadata.is_dir() {
            return Err("it is no regular file".to_owned());
        }
        if !is_root && path.is_symlink() {
            return Err("it is a symbolic link to a folder, which is not followed".to_owned());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} folders within each other"));
        }
        self.open
            .push(fs::read_dir(path).map_err(|e| e.to_string())?);
        Ok(false)
    }

    fn relative(&self, path: &Path) -> Result<String, String> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let names = below.components().map(|name| name.as_os_str().to_str());
        let names: Option<Vec<&str>> = names.collect();
        let names = names.ok_or("its name is not UTF-8, so no file can have it")?;
        Ok(names.join("/"))
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(root) = self.first.take()
            && let Some(found) = self.visit(root, true)
        {
            return Some(found);
        }
        while let Some(folder) = self.open.last_mut() {
            let found = match folder.next() {
                None => {
                    self.open.pop();
                    None
                }
                Some(Ok(entry)) => self.visit(entry.path(), false),
                Some(Err(error)) => {
                    self.open.pop();
                    Some(Found {
                        path: self.root.clone(),
                        relative: Err(format!("a folder cannot be read to its end: {error}")),
                    })
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// The path of a file below `root`, whose folders are made. Never leaves `root`: not by a segment `..`, and
/// not through a symbolic link.
///
/// # Errors
/// The relative path is no path below a folder, or a folder cannot be made.
pub(super) fn path_below(root: &Path, relative: &str) -> Result<PathBuf, CliError> {
    let mut path = root.to_owned();
    let mut names = relative.split('/').peekable();
    while let Some(name) = names.next() {
        if matches!(name, "" | "." | "..") {
            let text = format!("{relative} is no path below a folder; download it by its id");
            return Err(CliError::local(text));
        }
        path.push(name);
        if names.peek().is_some() {
            make_folder(&path)?;
        }
    }
    Ok(path)
}

fn make_folder(path: &Path) -> Result<(), CliError> {
    match fs::create_dir(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let found = path.symlink_metadata();
            if found.is_ok_and(|found| found.is_dir()) {
                return Ok(());
            }
            let text = format!("{} is needed as a folder, and is none", path.display());
            Err(CliError::local(text))
        }
        made => made.map_err(|e| CliError::local(format!("cannot make {}: {e}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn relatives(root: &Path) -> Vec<Result<String, String>> {
        let mut found: Vec<_> = Walk::new(root).map(|found| found.relative).collect();
        found.sort();
        found
    }

    #[test]
    fn a_walk_finds_files_at_any_depth_and_tells_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b/empty")).unwrap();
        for name in ["index.m3u8", "a/1.ts", "a/b/2.ts"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink(root.join("a"), root.join("loop")).unwrap();
        symlink(root.join("a/1.ts"), root.join("link.ts")).unwrap();
        symlink(root.join("nothing"), root.join("dangling")).unwrap();
        let found = relatives(root);
        let files: Vec<&str> = found.iter().flatten().map(String::as_str).collect();
        assert_eq!(files, ["a/1.ts", "a/b/2.ts", "index.m3u8", "link.ts"]);
        assert_eq!(
            found.iter().filter(|found| found.is_err()).count(),
            2,
            "{found:?}"
        );
        assert_eq!(relatives(&root.join("a/1.ts")), [Ok("1.ts".to_owned())]);
        assert!(matches!(&relatives(&root.join("gone"))[..], [Err(_)]));
    }

    #[test]
    fn no_id_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(path_below(root, "a/b.ts").unwrap(), root.join("a/b.ts"));
        assert!(root.join("a").is_dir());
        symlink(outside.path(), root.join("out")).unwrap();
        fs::write(root.join("file"), "x").unwrap();
        for hostile in [
            "../x",
            "a/../../x",
            "/etc/x",
            "a//x",
            "./x",
            "..",
            "",
            "a/",
            "out/x",
            "file/x",
        ] {
            path_below(root, hostile).unwrap_err();
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
