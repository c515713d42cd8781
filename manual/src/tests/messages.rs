//! The log messages of `docs/operations.md` against those of the sources.
//!
//! Messages are compared with a `…` in place of all that varies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../../../docs/operations.md");

/// The crates whose lines an operator reads.
const CRATES: [&str; 10] = [
    "base", "db", "net", "daemon", "tracker", "idserver", "storage", "httpd", "client", "cli",
];

#[test]
fn messages_of_the_document_are_in_the_sources() {
    let sources = sources();
    let quoted = quoted();
    assert!(quoted.len() > 50, "{}", quoted.len());
    let is_lost = |message: &&String| !sources.iter().any(|text| text.contains(*message));
    let lost: Vec<_> = quoted.iter().filter(is_lost).collect();
    assert!(
        lost.is_empty(),
        "docs/operations.md quotes messages that no source has: {lost:#?}"
    );
}

#[test]
fn errors_and_warnings_of_the_sources_are_in_the_document() {
    let quoted = quoted();
    let all: BTreeSet<String> = sources().iter().flat_map(|text| logged(text)).collect();
    assert!(all.len() > 50, "{}", all.len());
    let lacking: Vec<_> = all.difference(&quoted).collect();
    assert!(
        lacking.is_empty(),
        "docs/operations.md, Log messages, has no cure for: {lacking:#?}"
    );
}

#[test]
fn fields_and_breaks_of_a_literal_are_left_out() {
    let text = plain("warn!(\n  \"{}: no {what} \\\n   at {e:#}{more}\", x);");
    assert_eq!(logged(&text).next().as_deref(), Some("…: no … at …"));
}

/// The messages in the first column of the tables below "Log messages".
fn quoted() -> BTreeSet<String> {
    let (_, part) = DOCUMENT.split_once("\n## Log messages\n").unwrap();
    let part = part.split("\n## ").next().unwrap();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    part.lines().filter_map(row).collect()
}

/// The messages of `warn!` and `error!` in the result of [`plain`]. Messages that consist of one field
/// are left out.
fn logged(text: &str) -> impl Iterator<Item = String> {
    let starts = ["warn!(", "error!("];
    let calls = starts
        .into_iter()
        .flat_map(|start| text.split(start).skip(1));
    calls.filter_map(|call| {
        let (message, _) = call.trim_start().strip_prefix('"')?.split_once('"')?;
        let has_words = message.chars().any(char::is_alphabetic) || message.contains(' ');
        has_words.then(|| message.to_owned())
    })
}

/// All sources but tests, made plain.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in CRATES {
        collect(&root.join(name).join("src"), &mut files);
    }
    let read = |path: &PathBuf| plain(&fs::read_to_string(path).unwrap());
    files.iter().map(read).collect()
}

/// The source files below a folder, without those of tests.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().unwrap() == "tests" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A source with literals in one line each, and `…` for the fields in them.
fn plain(source: &str) -> String {
    let mut joined = String::new();
    let mut pieces = source.split("\\\n");
    joined.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        joined.push_str(piece.trim_start());
    }
    let mut text = String::new();
    let mut rest = joined.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        push(&mut text, before);
        let end = after.find(['{', '}', '\n', '"']);
        match end {
            Some(end) if after[end..].starts_with('}') => {
                push(&mut text, "…");
                rest = &after[end + 1..];
            }
            _ => {
                text.push('{');
                rest = after;
            }
        }
    }
    push(&mut text, rest);
    text
}

/// Two fields side by side are one.
fn push(text: &mut String, more: &str) {
    let more = if text.ends_with('…') {
        more.trim_start_matches('…')
    } else {
        more
    };
    text.push_str(more);
}
