//! `docs/configuration.md`: every key of every configuration file, its default from the code and
//! what it is from the sample.

use std::fmt::Write as _;

use toml::Table;

use crate::samples::{SAMPLES, Sample};
use crate::settings::{Piece, is_example, pieces};

/// Makes the document anew; tests name it when the document is out of date.
pub(crate) const COMMAND: &str = "cargo run -p manual -- --reference docs/configuration.md";

/// What a value that the code has no default for is shown as.
const NO_DEFAULT: &str = "-";

/// The whole document.
///
/// # Errors
/// The defaults of a daemon cannot be printed.
pub(crate) fn reference() -> anyhow::Result<String> {
    let mut text = format!(
        "<!-- Made by `{COMMAND}`; a test compares. -->\n\n\
         # Configuration\n\n\
         Every key of every file. `{NO_DEFAULT}` stands where a key has no default; the example is that \
         of the sample in `etc/`. How to run a cluster with them: [operations.md](operations.md).\n"
    );
    for sample in &SAMPLES {
        let defaults = sample
            .effective
            .map(|effective| effective(""))
            .transpose()?;
        add_file(&mut text, sample, defaults.as_ref());
    }
    Ok(text)
}

fn add_file(text: &mut String, sample: &Sample, defaults: Option<&Table>) {
    push(text, format_args!("\n## {}\n", sample.path));
    let mut section = "";
    let mut in_table = false;
    for piece in pieces(sample.text) {
        if let Piece::Setting { lines, about } = &piece {
            if !in_table {
                push(text, "\n| key | default | what it is |\n|---|---|---|\n");
            }
            for line in lines {
                push(text, row(section, line, about, defaults));
            }
        } else {
            add_text(text, &piece);
        }
        in_table = matches!(piece, Piece::Setting { .. });
        if let Piece::Section { name, .. } = piece {
            section = name.trim_matches(['[', ']']);
        }
    }
}

fn add_text(text: &mut String, piece: &Piece) {
    let (Piece::Text(about) | Piece::Section { about, .. } | Piece::Setting { about, .. }) = piece;
    if let Piece::Section { name, .. } = piece {
        push(text, format_args!("\n### {name}\n"));
    }
    if !about.is_empty() {
        push(text, format_args!("\n{}\n", explain(about)));
    }
}

/// A line of the table: a setting of a section, `key = value` as the sample has it.
fn row(section: &str, line: &str, about: &[&str], defaults: Option<&Table>) -> String {
    let (key, shown) = line.split_once(" = ").unwrap_or((line, ""));
    let default = match defaults {
        Some(table) => of_code(table, section, key),
        None => (!tells_default(about)).then(|| shown.to_owned()),
    };
    let mut what = explain(about);
    let default = default.map_or_else(
        || {
            push(&mut what, format_args!(" Example: `{shown}`"));
            NO_DEFAULT.to_owned()
        },
        |value| format!("`{value}`"),
    );
    let cells = [format!("`{key}`"), default, what].map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

/// The default of the code, if it has one.
fn of_code(defaults: &Table, section: &str, key: &str) -> Option<String> {
    let table = match section {
        "" => defaults,
        _ => defaults.get(section)?.as_table()?,
    };
    table.get(key).map(ToString::to_string)
}

/// Whether a comment says what holds without the setting: then the sample shows an example.
fn tells_default(about: &[&str]) -> bool {
    let about = about.join(" ");
    about.contains("by default") || about.contains("no default")
}

/// A comment as one paragraph.
fn explain(about: &[&str]) -> String {
    let part = |line: &&str| {
        if is_example(line) {
            format!("`{line}`.")
        } else {
            escape(line)
        }
    };
    about.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// Text as it stands, where Markdown would take a mark for its own.
fn escape(line: &str) -> String {
    line.replace('<', "\\<")
        .replace('*', "\\*")
        .replace('_', "\\_")
}

fn push(text: &mut String, more: impl std::fmt::Display) {
    write!(text, "{more}").expect("memory takes every text");
}
