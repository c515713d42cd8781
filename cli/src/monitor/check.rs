//! The check result for Nagios and its kin: an exit code, one line, figures behind a bar. Pure.

use std::fmt::Write;

use proto::cluster::{Group, Storage};
use proto::report::{Drain, Report};

use super::status_page::StatusPage;
use super::storage_state;
use super::view::View;

/// Most reasons in the line.
const REASONS_MAX: usize = 5;

/// The result of a check.
pub(super) struct CheckResult {
    pub(super) exit: u8,
    pub(super) line: String,
}

/// The problems found.
#[derive(Default)]
struct Findings {
    critical: Vec<String>,
    warning: Vec<String>,
}

/// Judges the cluster. `warning` and `critical` are percentages of a group's disk that are still
/// available to uploads. A group that is closed need not take any.
pub(super) fn evaluate(view: &View, warning: u8, critical: u8) -> CheckResult {
    let mut findings = Findings::default();
    if view.answered() == 0 {
        findings.critical.push("no tracker answers".to_owned());
    }
    findings.warning.extend(view.errors());
    findings.warning.extend(view.disagreements());
    of_helpers(view, &mut findings);
    if view.groups.is_empty() {
        findings.warning.push("there is no group".to_owned());
    }
    for group in &view.groups {
        of_servers(group, &mut findings);
        if group.open {
            of_space(group, warning, critical, &mut findings);
        }
    }
    let (exit, word) = match (&findings.critical[..], &findings.warning[..]) {
        ([], []) => (0, "OK"),
        ([], _) => (1, "WARNING"),
        _ => (2, "CRITICAL"),
    };
    let mut reasons = findings.critical;
    reasons.append(&mut findings.warning);
    if reasons.is_empty() {
        reasons.push(summary(view));
    }
    CheckResult {
        exit,
        line: line(word, &reasons, &figures(view, warning, critical)),
    }
}

/// The one line.
pub(super) fn line(word: &str, reasons: &[String], figures: &str) -> String {
    let mut text = reasons[..reasons.len().min(REASONS_MAX)].join("; ");
    if reasons.len() > REASONS_MAX {
        let _ = write!(text, "; and {} more", reasons.len() - REASONS_MAX);
    }
    // A bar begins the figures.
    let text = text.replace(|c: char| c.is_control() || c == '|', " ");
    match figures {
        "" => format!("TNV {word} - {text}"),
        figures => format!("TNV {word} - {text} | {figures}"),
    }
}

fn of_servers(group: &Group, findings: &mut Findings) {
    let name = &group.name;
    let storages = || group.storages.iter();
    if !storages().any(storage_state::is_readable) {
        let why = why(group, |report| &report.downloads_why);
        let text = format!("{name} has no storage that serves{why}");
        findings.critical.push(text);
    } else if group.open && !storages().any(storage_state::is_writable) {
        let why = why(group, |report| &report.uploads_why);
        findings
            .critical
            .push(format!("{name} takes no uploads{why}"));
    } else {
        let some = storages().filter(|storage| storage_state::is_active(storage));
        findings
            .warning
            .extend(some.flat_map(|storage| lacks(group, storage)));
    }
    if group.unregistered {
        let text = format!("group {name} is not in the database");
        findings.warning.push(text);
    }
    for storage in storages() {
        let address = &storage.address;
        if !storage_state::is_active(storage) {
            findings
                .warning
                .push(format!("{name} {address} is {}", storage.status));
            continue;
        }
        findings.warning.extend(storage.notes.iter().cloned());
        let paths = storage.report.iter().flat_map(|report| &report.paths);
        for path in paths.filter(|path| path.health != "writable") {
            let text = format!("{name} {address}: {} is {}", path.path, path.health);
            findings.warning.push(text);
        }
        let warnings = storage_state::warnings(group, storage);
        findings.warning.extend(warnings);
    }
}

/// Notes the problems of idservers and of status ports. A failing server is a warning while another of
/// its kind works.
fn of_helpers(view: &View, findings: &mut Findings) {
    for role in ["idserver", "httpd"] {
        let all = || view.status_ports.iter().filter(|page| page.role == role);
        if all().count() > 0 && !all().any(StatusPage::serves) {
            findings.critical.push(format!("no {role} serves"));
        }
    }
    findings.warning.extend(view.troubles());
}

/// Why a group cannot do what none of its storages can: the first reason there is.
fn why(group: &Group, of: fn(&Report) -> &String) -> String {
    let live = group
        .storages
        .iter()
        .filter(|storage| storage_state::is_active(storage));
    let mut reasons = live.filter_map(|storage| Some(of(storage.report.as_ref()?)));
    let first = reasons.find(|why| !why.is_empty());
    first.map_or_else(String::new, |why| format!(": {why}"))
}

/// The commands that a storage cannot serve, each with the reason that it reports.
fn lacks(group: &Group, storage: &Storage) -> Vec<String> {
    let Some(report) = &storage.report else {
        return Vec::new();
    };
    let is_wanted = group.open && report.drain == Drain::None;
    let (uploads, downloads) = (&report.uploads_why, &report.downloads_why);
    let lack = |what: &str, why: &String| {
        (!why.is_empty()).then(|| format!("{} {} {what}: {why}", group.name, storage.address))
    };
    let downloads = lack("serves no downloads", downloads);
    let uploads = lack("takes no uploads", uploads).filter(|_| is_wanted);
    downloads.into_iter().chain(uploads).collect()
}

fn of_space(group: &Group, warning: u8, critical: u8, findings: &mut Findings) {
    let Some(space) = storage_state::space(group).filter(|space| space.total > 0) else {
        return;
    };
    let percent = u128::from(space.available) * 100 / u128::from(space.total);
    let text = format!("{} has {percent}% of its disk available", group.name);
    if percent < u128::from(critical) {
        findings.critical.push(text);
    } else if percent < u128::from(warning) {
        findings.warning.push(text);
    }
}

fn summary(view: &View) -> String {
    format!(
        "{} trackers, {} groups, {} storages active",
        view.answered(),
        view.groups.len(),
        count(view, storage_state::is_readable)
    )
}

fn figures(view: &View, warning: u8, critical: u8) -> String {
    let mut text = format!(
        "trackers={};;;0;{} groups={} storages={} readable={} writable={}",
        view.answered(),
        view.trackers.len(),
        view.groups.len(),
        count(view, |_| true),
        count(view, storage_state::is_readable),
        count(view, storage_state::is_writable)
    );
    for group in &view.groups {
        if let Some(space) = storage_state::space(group) {
            let share = |percent: u8| space.total / 100 * u64::from(percent);
            let _ = write!(
                text,
                " {}_available={}B;{}:;{}:;0;{}",
                group.name,
                space.available,
                share(warning),
                share(critical),
                space.total
            );
        }
    }
    text
}

fn count(view: &View, is: fn(&proto::cluster::Storage) -> bool) -> usize {
    let storages = view.groups.iter().flat_map(|group| &group.storages);
    storages.filter(|storage| is(storage)).count()
}
