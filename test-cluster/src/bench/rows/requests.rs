//! Requests to trackers and idservers, and lists.

use super::super::cluster_set::ClusterSet;
use super::super::measurement::Metric;
use super::super::references::{Redis, SqliteLister, run};
use super::{Bench, Scale};
use crate::plan::Role;

/// Length of a value of redis that is as small as the reply of a tracker.
pub(super) const SMALL_VALUE: u64 = 64;

/// Threads that list.
const LISTERS: usize = 4;

impl Bench {
    pub(super) fn small_requests(
        &mut self,
        clusters: &ClusterSet,
        redis: &Redis,
    ) -> anyhow::Result<()> {
        let round = self.scale.round;
        for (name, mix) in [("tracker saddrs", "saddrs"), ("idserver get", "id")] {
            let Some(comparison) = self.compare(
                &format!("{name}, 32 connections"),
                clusters,
                &|target| target.small_requests(mix, 32, round),
                &mut || redis.round(32, 1, SMALL_VALUE, round),
            ) else {
                continue;
            };
            self.rows.push(
                comparison
                    .row(Metric::Rate, "redis GET of 64 bytes")
                    .goal(0.9),
            );
            self.keep(&comparison, Metric::Rate);
        }
        Ok(())
    }

    /// Lists of a user's first 1,000 files: what they cost, and whether rows of others slow them down.
    pub(super) fn lists(&mut self, clusters: &ClusterSet) -> anyhow::Result<()> {
        let Scale { small, round, .. } = self.scale;
        let path = clusters.fresh.cluster.plan().database(Role::Storage);
        let Some(comparison) = self.compare(
            "list of 1000 files, 4 threads",
            clusters,
            &|target| target.reads("list", LISTERS, small, round),
            &mut || {
                let listers = (0..LISTERS).map(|_| SqliteLister::open(&path));
                let listers = listers.collect::<anyhow::Result<_>>()?;
                run(listers, &[std::process::id()], round)
            },
        ) else {
            return Ok(());
        };
        self.rows
            .push(comparison.row(Metric::Rate, "SQLite, the same rows"));
        self.keep(&comparison, Metric::Rate);
        Ok(())
    }
}
