//! Every program, subcommand and setting has its place in the manual.

mod citations;
mod messages;
mod names;

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::*;

/// A page as it is read, without what is for the formatter.
fn text(name: &str) -> String {
    let all = pages().unwrap();
    let (_, page) = all.iter().find(|(page, _)| page == name).unwrap();
    let page = String::from_utf8(page.clone()).unwrap();
    page.replace("\\-", "-")
}

#[test]
fn every_program_and_configuration_has_a_page() {
    let names: Vec<String> = pages().unwrap().into_iter().map(|(name, _)| name).collect();
    for name in ["tnv.1", "tnv-upload.1", "tnv-storage.8", "tnv-httpd.8"] {
        assert!(names.iter().any(|page| page == name), "{name}: {names:?}");
    }
    for name in daemons::NAMES {
        assert!(names.contains(&format!("{name}.8")), "{name}");
        assert!(names.contains(&format!("{name}.toml.5")), "{name}");
    }
}

#[test]
fn pages_of_programs_show_their_options() {
    let tnv = text("tnv.1");
    for part in [
        ".SH EXAMPLES",
        ".SH \"EXIT CODES\"",
        "--trackers",
        "tnv.toml(5)",
    ] {
        assert!(tnv.contains(part), "{part} in {tnv}");
    }
    let storage = text("tnv-storage.8");
    for part in [
        ".SH SIGNALS",
        ".SH \"EXIT STATUS\"",
        "--config",
        "--init-store",
    ] {
        assert!(storage.contains(part), "{part} in {storage}");
    }
    assert!(text("tnv-download.1").contains("--continue"));
    let restart = text("tnv-rolling-restart.8");
    for part in [
        "[-t TRACKERS]",
        "\n.SH DESCRIPTION",
        "longest wait",
        "Exit codes: 0",
    ] {
        assert!(restart.contains(part), "{part} in {restart}");
    }
}

#[test]
fn a_synopsis_shows_the_values_of_options() {
    let synopsis = |name| {
        let page = text(name);
        let (_, rest) = page.split_once(".SH SYNOPSIS\n").unwrap();
        let line = rest.lines().next().unwrap();
        ["\\fB", "\\fI", "\\fR"]
            .iter()
            .fold(line.to_owned(), |line, font| line.replace(font, ""))
    };
    let storage = synopsis("tnv-storage.8");
    for part in [
        "tnv-storage [--config FILE]",
        "[--pid-file FILE]",
        "[--daemon]",
    ] {
        assert!(storage.contains(part), "{part} in {storage}");
    }
    let upload = synopsis("tnv-upload.1");
    for part in ["tnv upload ", "[--id ID]", " FILE..."] {
        assert!(upload.contains(part), "{part} in {upload}");
    }
    assert!(
        synopsis("tnv.1").ends_with(" COMMAND"),
        "{}",
        synopsis("tnv.1")
    );
}

#[test]
fn a_setting_without_a_default_stands_above_its_text() {
    let page = text("tnv-storage.toml.5");
    let (_, rest) = page.split_once(".TP\n\\fBadvertise = ").unwrap();
    assert!(
        rest.lines()
            .nth(1)
            .unwrap()
            .contains("trackers hand to clients"),
        "{rest}"
    );
}

#[test]
fn pages_of_configurations_show_every_setting() {
    for (name, page) in settings_page::all() {
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        let sample = settings_page::sample(&name);
        let keys = sample.lines().filter_map(|line| {
            let (key, _) = line.strip_prefix('#')?.split_once(" = ")?;
            Some(key.trim())
        });
        let mut n_keys = 0;
        for key in keys {
            assert!(
                page.contains(&format!("\\fB{key} = ")),
                "{name} lacks {key}"
            );
            n_keys += 1;
        }
        assert!(n_keys > 3, "{name}");
    }
}

#[test]
fn completion_knows_subcommands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path()).unwrap();
    write_all(folder.path()).unwrap();
    for file in ["tnv.bash", "_tnv", "tnv.fish"] {
        let script = fs::read_to_string(folder.path().join("completion").join(file)).unwrap();
        for word in ["upload", "continue", "trackers"] {
            assert!(script.contains(word), "{file} lacks {word}");
        }
    }
}

#[test]
fn the_reference_in_docs_is_what_the_code_says() {
    let kept = include_str!("../../docs/configuration.md");
    let made = reference::reference().unwrap();
    if kept != made {
        let differs = |(kept, made): &(&str, &str)| kept != made;
        let line = kept.lines().zip(made.lines()).position(|it| differs(&it));
        let line = line.unwrap_or_else(|| kept.lines().count().min(made.lines().count())) + 1;
        panic!(
            "docs/configuration.md is out of date at line {line}; make it anew: {}",
            reference::COMMAND
        );
    }
}

#[test]
fn the_reference_has_every_setting_of_the_code() {
    let text = reference::reference().unwrap();
    for sample in &samples::SAMPLES {
        let (_, file) = text.split_once(&format!("\n## {}\n", sample.path)).unwrap();
        let file = file.split("\n## ").next().unwrap();
        let Some(effective) = sample.effective else {
            continue;
        };
        let has = |part: &str, key: &str, value: &toml::Value| {
            let item = format!("`{key}` (default `{value}`)");
            assert!(part.contains(&item), "{}: no {item}", sample.path);
        };
        let mut n_keys = 0;
        for (key, value) in effective("").unwrap() {
            let Some(section) = value.as_table() else {
                has(file.split("\n### ").next().unwrap(), &key, &value);
                continue;
            };
            let (_, part) = file.split_once(&format!("\n### [{key}]\n")).unwrap();
            let part = part.split("\n### ").next().unwrap();
            for (key, value) in section {
                has(part, key, value);
                n_keys += 1;
            }
        }
        assert!(n_keys > 5, "{}", sample.path);
    }
}

/// Settings that have no default; the samples show an example.
const EXAMPLES: [&str; 11] = [
    "user",
    "server.connections_per_address",
    "process.user",
    "process.group",
    "process.pid_file",
    "process.working_directory",
    "process.open_files",
    "log.file",
    "log.access_file",
    "mysql.password_file",
    "mysql.tls_ca",
];

/// Settings that a sample sets to another value than the default.
const SET_BY_SAMPLE: [(&str, &str); 2] = [
    ("/etc/tnv/httpd.toml", "server.connections_per_address"),
    ("/etc/tnv/httpd.toml", "server.min_rate"),
];

/// A sample with its settings in force: the mark in front of them has no blank behind it.
fn in_force(sample: &str) -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    sample.lines().map(bare).collect()
}

/// Values by `key` or `section.key`.
fn flat(table: &Table) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (key, value) in table {
        match value.as_table() {
            Some(section) => all.extend(
                section
                    .iter()
                    .map(|(name, value)| (format!("{key}.{name}"), value.clone())),
            ),
            None => drop(all.insert(key.clone(), value.clone())),
        }
    }
    all
}

#[test]
fn samples_show_every_setting_with_its_default() {
    for sample in &samples::SAMPLES {
        let Some(effective) = sample.effective else {
            continue;
        };
        let (path, text) = (sample.path, in_force(sample.text));
        let defaults = effective("").unwrap();
        let (defaults, shown) = (flat(&defaults), flat(&effective(&text).unwrap()));
        let installed = flat(&effective(sample.text).unwrap());
        let is_changed = |(key, value): &(&String, &Value)| defaults.get(*key) != Some(*value);
        let changed = installed.iter().filter(is_changed);
        let changed: Vec<_> = changed.map(|(key, _)| (path, key.as_str())).collect();
        let set = SET_BY_SAMPLE.iter().filter(|(of, _)| *of == path);
        assert_eq!(changed, set.copied().collect::<Vec<_>>());
        assert!(defaults.keys().all(|key| installed.contains_key(key)));
        for (key, value) in &shown {
            let is_example =
                EXAMPLES.contains(&key.as_str()) || SET_BY_SAMPLE.contains(&(path, key.as_str()));
            assert!(
                is_example || defaults.get(key) == Some(value),
                "{path}: {key} = {value}, by default {:?}",
                defaults.get(key)
            );
        }
        let raw = flat(&toml::from_str(&text).unwrap());
        let sections = raw.keys().filter_map(|key| key.split_once('.'));
        let sections: Vec<&str> = sections.map(|(section, _)| section).collect();
        let has_section = |key: &&str| {
            key.split_once('.')
                .is_some_and(|(section, _)| sections.contains(&section))
        };
        let examples = EXAMPLES.into_iter().filter(has_section);
        for key in defaults.keys().map(String::as_str).chain(examples) {
            assert!(raw.contains_key(key), "{path} does not show {key}");
        }
    }
}
