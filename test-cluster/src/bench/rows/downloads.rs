//! Downloads of small and large files.

use std::path::Path;

use super::super::cluster_set::ClusterSet;
use super::super::measurement::Metric;
use super::super::references::{File, PlainDownloader, PlainServer, Redis, run};
use super::{Bench, Scale, seed};

impl Bench {
    pub(super) fn small_downloads(
        &mut self,
        clusters: &ClusterSet,
        redis: &Redis,
    ) -> anyhow::Result<()> {
        let Scale { small, round, .. } = self.scale;
        let Some(comparison) = self.compare(
            "download 16 KiB, 8 threads",
            clusters,
            &|target| target.reads("download", 8, small, round),
            &mut || redis.round(8, small.count as u64, small.size, round),
        ) else {
            return Ok(());
        };
        self.rows.push(
            comparison
                .row(Metric::Rate, "redis GET of 16 KiB")
                .goal(0.9),
        );
        self.keep(&comparison, Metric::Rate);
        Ok(())
    }

    pub(super) fn download_large(
        &mut self,
        clusters: &ClusterSet,
        media: &Path,
    ) -> anyhow::Result<()> {
        const THREADS: usize = 2;
        let Scale { large, round, .. } = self.scale;
        let files = File::list(Path::new(&clusters.fresh.list(large)))?;
        let (sender, addr) = self.start_plain_server(PlainServer::Sender, media)?;
        let Some(comparison) = self.compare(
            "download 100 MiB, 2 threads",
            clusters,
            &|target| target.reads("download", THREADS, large, round),
            &mut || {
                let downloader = |_| PlainDownloader::new(addr, &files, seed());
                let downloaders = (0..THREADS)
                    .map(downloader)
                    .collect::<Result<Vec<_>, _>>()?;
                run(downloaders, &[sender.pid()], round)
            },
        ) else {
            return Ok(());
        };
        self.rows.push(
            comparison
                .row(Metric::Bytes, "plain sendfile server")
                .goal(0.9),
        );
        let cpu = comparison.side_row(Metric::CpuPerGb, "CPU", "plain sendfile server");
        self.rows.push(cpu.goal(1.0 / 1.15));
        self.keep(&comparison, Metric::Bytes);
        Ok(())
    }
}
