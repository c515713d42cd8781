//! What a storage counts and tells monitoring.

use std::sync::Arc;

use daemon::metrics::{CacheMetrics, IntCounter, Metrics, Page};
use daemon::status::{Health, StatusSource, measure_database};
use net::Connections;
use proto::report::{Drain, Idserver, Report, Space, StorePath};
use proto::storage::StorageRequest;
use serde_json::{Value, json};

use crate::ability::lack_of_numbers;
use crate::globals::Globals;
use crate::report::{PATH_STATES, report};

pub(crate) struct StorageMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// Rows of files.
    pub(crate) rows: CacheMetrics,
    pub(crate) late_requests: IntCounter,
    pub(crate) foreign_rows: IntCounter,
    pub(crate) damage_found: IntCounter,
    pub(crate) taken_paths: IntCounter,
    /// Beats that a tracker refused because it knew this storage no more.
    pub(crate) forgotten: IntCounter,
}

impl Default for StorageMetrics {
    fn default() -> StorageMetrics {
        let frame = Metrics::of_wire::<StorageRequest>();
        StorageMetrics {
            rows: frame.cache("rows"),
            late_requests: frame.counter(
                "tnv_storage_late_requests_total",
                "Uploads and deletions that were given up because their client had left.",
            ),
            foreign_rows: frame.counter(
                "tnv_storage_foreign_rows_total",
                "Requests that met a file of another group.",
            ),
            damage_found: frame.counter(
                "tnv_storage_damage_found_total",
                "Requests that met a damaged file.",
            ),
            taken_paths: frame.counter(
                "tnv_storage_taken_paths_total",
                "New files whose path was taken, so that they got that of another number.",
            ),
            forgotten: frame.counter(
                "tnv_storage_forgotten_total",
                "How often a tracker had forgotten this storage, which joined again.",
            ),
            frame: Arc::new(frame),
        }
    }
}

/// What the status port shows.
pub(crate) struct Shown {
    pub(crate) globals: Arc<Globals>,
    pub(crate) connections: Connections,
    /// Seconds since the epoch.
    pub(crate) up_since: i64,
}

impl Shown {
    fn report(&self) -> Report {
        report(&self.globals, &self.connections, self.up_since)
    }
}

impl StatusSource for Shown {
    fn health(&self, health: &mut Health) {
        health.needs_database(self.globals.files.availability().full());
        self.globals.ties.health(health);
        self.globals.warnings.health(health);
        of_numbers(health, &self.globals);
        let paths = &self.globals.paths;
        let able = (paths.take_uploads(), paths.serve_downloads());
        of_paths(health, able, &self.report());
    }

    fn measure(&self, page: &mut Page) {
        let database = self.globals.files.availability();
        measure_database(page, database.full().is_ok(), database.reads.is_ok());
        self.globals.ties.measure(page);
        let help =
            "Whether an idserver gave numbers, or would, when they were last asked or probed.";
        let is_up = self.globals.numbers.trouble().is_none();
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
            "trackers": self.globals.ties.describe(),
            "rows_cache": metrics.rows.describe(),
        })
    }
}

/// While numbers are left the storage can do its work, though not for long.
fn of_numbers(health: &mut Health, globals: &Globals) {
    if let Some(why) = lack_of_numbers(globals) {
        health.fail(format!("no idserver gives a number: {why}"));
    }
    for Idserver { address, why } in globals.numbers.idservers() {
        if !why.is_empty() {
            health.degrade(format!("idserver {address}: {why}"));
        }
    }
}

/// A storage that is full serves what it has. One that is drained is not there for uploads.
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

/// Why a store path is not writable.
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
