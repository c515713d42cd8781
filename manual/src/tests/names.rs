//! `ARCHITECTURE.md` and `CONTRIBUTING.md` name files and functions that exist.

use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS: [(&str, &str); 2] = [
    ("ARCHITECTURE.md", include_str!("../../../ARCHITECTURE.md")),
    ("CONTRIBUTING.md", include_str!("../../../CONTRIBUTING.md")),
];

/// The placeholder of the documents for the folder of any server, and those folders.
const SERVER: &str = "SERVER";
const SERVERS: [&str; 4] = ["tracker", "idserver", "storage", "httpd"];
/// The header of the tables that walk through the code.
const WALK_HEADER: &str = "| step | function | file |";
/// A code span with one of these is a file or a folder, also without a slash.
const EXTENSIONS: [&str; 6] = [".rs", ".md", ".toml", ".sh", ".yml", ".json"];

#[test]
fn named_files_exist() {
    let mut n_found = 0;
    for (document, text) in DOCUMENTS {
        for name in code_spans(text).filter(|name| is_path(name)) {
            for path in expand(name) {
                assert!(exists(&path), "{document} names {name}, there is no {path}");
                n_found += 1;
            }
        }
    }
    assert!(n_found > 100, "{n_found}");
}

#[test]
fn functions_of_the_walks_are_in_their_files() {
    let mut n_found = 0;
    for (document, text) in DOCUMENTS {
        for row in walk_rows(text) {
            let [_, functions, files] = row[..] else {
                panic!("{document}: a row of three cells: {row:?}");
            };
            let sources: Vec<String> = code_spans(files).map(read).collect();
            for function in code_spans(functions) {
                let name = function.rsplit("::").next().unwrap();
                let is_found = sources.iter().any(|source| defines(source, name));
                assert!(is_found, "{document}: no fn {name} in {files}");
                n_found += 1;
            }
        }
    }
    assert!(n_found > 40, "{n_found}");
}

/// True if a source has a function of this name.
fn defines(source: &str, name: &str) -> bool {
    let ends = |rest: &str| rest.starts_with(['(', '<']);
    let mut definitions = source.split("fn ").skip(1);
    definitions.any(|rest| rest.strip_prefix(name).is_some_and(ends))
}

/// The cells of all rows below the headers of walks.
fn walk_rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let tables = text.split(WALK_HEADER).skip(1);
    let rows = tables.flat_map(|table| {
        table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
    });
    rows.map(|row| row.trim_matches('|').split('|').collect())
}

/// The texts in backticks, outside of code blocks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Whether a code span is a path in the repository. Built files and absolute paths are not.
fn is_path(span: &str) -> bool {
    let is_plain = !span.contains([' ', '=', '(', '"']);
    let is_elsewhere = span.starts_with('/') || span.starts_with("target/");
    let has_extension = EXTENSIONS.iter().any(|extension| span.ends_with(extension));
    is_plain && !is_elsewhere && !span.contains("MODULE") && (span.contains('/') || has_extension)
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![name.to_owned()];
    };
    let (choices, after) = rest.split_once('}').unwrap();
    let each = choices.split(',');
    each.flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

/// A path from the root of the repository, of any server, or the end of a path where a document
/// names the folder elsewhere.
fn exists(path: &str) -> bool {
    if path.contains(SERVER) {
        return SERVERS
            .iter()
            .any(|server| root().join(path.replace(SERVER, server)).exists());
    }
    root().join(path).exists() || ends_a_path(&root(), path)
}

/// True if a file or folder below `folder` ends in this path.
fn ends_a_path(folder: &Path, path: &str) -> bool {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let sources = entries.filter(|entry| !entry.ends_with("target") && !entry.ends_with(".git"));
    sources
        .filter(|entry| !entry.is_symlink())
        .any(|entry| entry.ends_with(path) || entry.is_dir() && ends_a_path(&entry, path))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
