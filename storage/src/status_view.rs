//! The pages of the status port: `/healthz`, `/metrics` and `/status`.

use std::sync::Arc;

use daemon::metrics::Page;
use daemon::status::{Health, StatusSource, measure_database};
use net::Connections;
use proto::report::{Drain, Idserver, Report, Space, StorePath};
use serde_json::{Value, json};

use crate::disks::store_path::PATH_STATES;
use crate::globals::Globals;
use crate::tracker::ability::number_shortage;
use crate::tracker::report::report;

/// The source of the pages of the status port.
pub(crate) struct StatusView {
    pub(crate) globals: Arc<Globals>,
    pub(crate) connections: Connections,
    /// Seconds since the epoch.
    pub(crate) up_since: i64,
}

impl StatusView {
    fn report(&self) -> Report {
        report(&self.globals, &self.connections, self.up_since)
    }
}

impl StatusSource for StatusView {
    fn health(&self, health: &mut Health) {
        health.needs_database(self.globals.files.availability().full());
        self.globals.tracker_statuses.health(health);
        self.globals.warnings.health(health);
        of_numbers(health, &self.globals);
        let paths = &self.globals.paths;
        let able = (paths.take_uploads(), paths.serve_downloads());
        of_paths(health, able, &self.report());
    }

    fn measure(&self, page: &mut Page) {
        let database = self.globals.files.availability();
        measure_database(page, database.full().is_ok(), database.reads.is_ok());
        self.globals.tracker_statuses.measure(page);
        let help =
            "Whether an idserver gave numbers, or would, when they were last asked or probed.";
        let is_up = self.globals.numbers.last_error().is_none();
        page.gauge("tnv_idservers_up", help)
            .sample(&[], f64::from(u8::from(is_up)));
        let help = "What a reply of success promises; always 1.";
        let durability = self.globals.config.durability.as_str();
        page.gauge("tnv_storage_durability_info", help)
            .sample(&[("durability", durability)], 1.0);
        page.gauge("tnv_storage_rows", "Rows of files that are remembered.")
            .sample(&[], self.globals.rows.len() as f64);
        let help = "Files of uploads of which it is not known whether their rows were made.";
        page.gauge("tnv_storage_unresolved_files", help)
            .sample(&[], self.globals.unresolved.len() as f64);
        let help = "How long ago the file expired that the deletion of expired files found first; 0 without one.";
        page.gauge("tnv_storage_expiry_lag_seconds", help)
            .sample(&[], self.globals.expiry_lag.seconds() as f64);
        let help = "Damaged files that are known.";
        page.gauge("tnv_storage_damaged_files", help)
            .sample(&[], self.globals.damage.len() as f64);
        let help = "Whether uploads have a chance: 1 when store path, database and idservers do \
                    their part.";
        let report = self.report();
        page.gauge("tnv_storage_takes_uploads", help)
            .sample(&[], f64::from(u8::from(report.uploads)));
        let help = "Whether downloads have a chance: 1 when a store path and the database answer.";
        page.gauge("tnv_storage_serves_downloads", help)
            .sample(&[], f64::from(u8::from(report.downloads)));
        let help = "Whether an administrator took it out of service: 1 when it is drained.";
        page.gauge("tnv_storage_drained", help)
            .sample(&[], f64::from(u8::from(report.drain != Drain::None)));
        measure_paths(page, &report.paths);
    }

    fn describe(&self) -> Value {
        let Globals {
            config, metrics, ..
        } = &*self.globals;
        json!({
            "group": config.group.as_str(),
            "hostname": config.hostname.as_str(),
            "durability": config.durability.as_str(),
            "report": self.report(),
            "trackers": self.globals.tracker_statuses.describe(),
            "rows_cache": metrics.rows.describe(),
            "open_files_cache": metrics.open_files.describe(),
        })
    }
}

/// Idservers without numbers fail the storage only when none is left.
fn of_numbers(health: &mut Health, globals: &Globals) {
    if let Some(why) = number_shortage(globals) {
        health.fail(why);
    }
    for Idserver { address, why } in globals.numbers.idservers() {
        if !why.is_empty() {
            health.degrade(format!("idserver {address}: {why}"));
        }
    }
}

/// A full storage serves its files. A drained one is not expected to take uploads.
fn of_paths(health: &mut Health, (takes, serves): (bool, bool), report: &Report) {
    let broken = |path: &&StorePath| !matches!(path.health.as_str(), "writable" | "full");
    let is_broken = report.paths.iter().any(|path| broken(&path));
    if !takes && is_broken && report.drain == Drain::None {
        health.fail("no store path takes uploads");
    }
    if !serves {
        health.fail("no store path answers");
    }
    for path in report.paths.iter().filter(|path| path.health != "writable") {
        health.degrade(reason(path));
    }
    if report.drain != Drain::None {
        health.note(format!("drained of: {}", report.drain.as_str()));
    }
}

/// The state of a store path that is not writable, with the reason.
fn reason(path: &StorePath) -> String {
    let StorePath {
        path, health, why, ..
    } = path;
    if why.is_empty() {
        format!("{path}: {health}")
    } else {
        format!("{path}: {health}: {why}")
    }
}

fn measure_paths(page: &mut Page, paths: &[StorePath]) {
    let sizes = |space: &Space| {
        [
            ("total", "Size of the file system.", space.total),
            ("free", "What is free on the file system.", space.free),
            ("reserved", "What uploads leave free.", space.reserved),
            ("available", "What uploads may take.", space.available),
        ]
    };
    for (idx, (name, help, _)) in sizes(&Space::default()).into_iter().enumerate() {
        let mut family = page.gauge(&format!("tnv_store_path_{name}_bytes"), help);
        for path in paths {
            let (_, _, size) = sizes(&path.space)[idx];
            family = family.sample(&[("path", &path.path)], size as f64);
        }
    }
    let help = "What a store path can do: 1 for the state it is in.";
    let mut family = page.gauge("tnv_store_path_state", help);
    for path in paths {
        for state in PATH_STATES {
            let is = f64::from(u8::from(path.health == state));
            family = family.sample(&[("path", &path.path), ("state", state)], is);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ordered_and_what_is_full_is_no_failure() {
        let state = |paths: &[&str], drain| {
            let paths: Vec<StorePath> = paths
                .iter()
                .map(|health| StorePath {
                    path: "/1".to_owned(),
                    health: (*health).to_owned(),
                    ..StorePath::default()
                })
                .collect();
            let report = Report {
                drain,
                paths,
                ..Report::default()
            };
            let mut health = Health::default();
            let takes = report.paths.iter().any(|path| path.health == "writable");
            of_paths(&mut health, (takes, true), &report);
            let reasons: Vec<&str> = health.reasons().collect();
            format!("{} {}", health.state(), reasons.join("; "))
        };
        assert_eq!(state(&["writable"], Drain::None), "ok ");
        assert_eq!(
            state(&["writable"], Drain::Uploads),
            "ok drained of: uploads"
        );
        assert_eq!(
            state(&["full", "full"], Drain::None),
            "degraded /1: full; /1: full"
        );
        assert_eq!(
            state(&["writable", "away"], Drain::None),
            "degraded /1: away"
        );
        assert_eq!(
            state(&["full", "away"], Drain::None),
            "failing no store path takes uploads; /1: full; /1: away"
        );
        assert_eq!(
            state(&["read-only"], Drain::All),
            "degraded /1: read-only; drained of: all"
        );
    }
}
