//! Requests to trackers and idservers.

use super::super::cluster_set::ClusterSet;
use super::super::measurement::Metric;
use super::super::references::Redis;
use super::Bench;

/// Length of a value of redis that is as small as the reply of a tracker.
pub(super) const SMALL_VALUE: u64 = 64;

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
}
