//! `docs/configuration.md`: every key of every configuration file, with its default from the code
//! and its explanation from the sample.

use std::fmt::{Display, Write as _};

use toml::Table;

use crate::samples::{SAMPLES, Sample};
use crate::settings::{Piece, is_example, pieces};
use crate::wrap::wrap;

/// Generates the document anew; tests name it when the document is out of date.
pub(crate) const COMMAND: &str = "cargo run -p manual -- --reference docs/configuration.md";

const INTRODUCTION: &str = "Every key of every file, with the default of the program. Where the program has no \
    fixed value, the example is that of the sample in `etc/`. How to run a cluster with these settings: \
    [operations.md](operations.md).";

/// The whole document.
///
/// # Errors
/// The defaults of a daemon cannot be printed.
pub(crate) fn reference() -> anyhow::Result<String> {
    let mut text = format!("<!-- Made by `{COMMAND}`; a test compares. -->\n\n# Configuration\n");
    paragraph(&mut text, INTRODUCTION);
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
    for piece in pieces(sample.text) {
        match &piece {
            Piece::Text(about) => add_text(text, about),
            Piece::Section { name, about } => {
                section = name.trim_matches(['[', ']']);
                push(text, format_args!("\n### {name}\n"));
                paragraph(text, &explain(about));
            }
            Piece::Setting { lines, about } => {
                let keys = lines.iter().map(|line| key(section, line, about, defaults));
                add_item(text, keys, about);
            }
        }
    }
}

/// A comment without a setting, or a setting that is an example at the end of its comment.
fn add_text(text: &mut String, about: &[&str]) {
    let is_text = |line: &&str| !is_example(line);
    let n_text = about.iter().rposition(is_text).map_or(0, |idx| idx + 1);
    let (about, examples) = about.split_at(n_text);
    if examples.is_empty() {
        paragraph(text, &explain(about));
    } else {
        let keys = examples.iter().filter_map(|line| line.split_once(" = "));
        add_item(text, keys.map(|(key, shown)| example(key, shown)), about);
    }
}

/// An item of the list: keys that share an explanation.
fn add_item(text: &mut String, keys: impl Iterator<Item = String>, about: &[&str]) {
    let keys = keys.collect::<Vec<_>>().join(", ");
    let item = format!("{keys}: {}", explain(about));
    push(text, format_args!("\n- {}\n", wrap(&item, "  ")));
}

/// A key and its default, or an example where neither code nor sample tells a default. `line` is
/// `key = value` of the sample.
fn key(section: &str, line: &str, about: &[&str], defaults: Option<&Table>) -> String {
    let (key, shown) = line.split_once(" = ").unwrap_or((line, ""));
    let default = match defaults {
        Some(table) => of_code(table, section, key),
        None => (!tells_default(about)).then(|| shown.to_owned()),
    };
    match default {
        Some(value) => format!("`{key}` (default `{value}`)"),
        None => example(key, shown),
    }
}

fn example(key: &str, shown: &str) -> String {
    format!("`{key}` (example `{shown}`)")
}

/// The default of the code, if it has one.
fn of_code(defaults: &Table, section: &str, key: &str) -> Option<String> {
    let table = match section {
        "" => defaults,
        _ => defaults.get(section)?.as_table()?,
    };
    table.get(key).map(ToString::to_string)
}

/// True if a comment tells the behaviour without the setting: then the sample shows an example.
fn tells_default(about: &[&str]) -> bool {
    let about = about.join(" ");
    about.contains("by default") || about.contains("no default")
}

/// A comment as one paragraph.
fn explain(about: &[&str]) -> String {
    let part = |line: &&str| match is_example(line) {
        true => format!("Example: `{line}`."),
        // Markdown would take these marks for its own.
        false => line.replace('<', "\\<").replace('*', "\\*"),
    };
    about.iter().map(part).collect::<Vec<_>>().join(" ")
}

fn paragraph(text: &mut String, content: &str) {
    if !content.is_empty() {
        push(text, format_args!("\n{}\n", wrap(content, "")));
    }
}

fn push(text: &mut String, more: impl Display) {
    write!(text, "{more}").expect("memory takes every text");
}
