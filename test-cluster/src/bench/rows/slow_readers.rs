//! Many slow readers and a fast one, through httpd and through nginx.

use std::path::Path;

use super::super::bench_cluster::BenchCluster;
use super::super::cluster_set::ClusterSet;
use super::super::measurement::{Measurement, Metric};
use super::super::references::{FOLDER, File, Nginx, Round};
use super::super::row::{Better, Row};
use super::super::slow_readers::{RATE, SlowReaders};
use super::super::stats::Summary;
use super::Bench;
use super::http::round_of_nginx;
use crate::plan::Role;
use crate::proc;
use crate::terminal::tell;

/// Limit on the memory of httpd and storage together beside slow readers, in MiB.
const MIB_MAX: f64 = 512.0;

/// Figures of tnv.
struct Figures {
    /// Rate of the fast reader without slow readers, in MB/s.
    alone: Summary,
    /// Its rate beside slow readers, in MB/s.
    beside: Summary,
    /// Largest memory of httpd and storage together, in MiB.
    mib: f64,
    /// Slow readers that got all their content in time.
    n_served: usize,
}

impl Bench {
    pub(super) fn slow_readers(
        &mut self,
        clusters: &mut ClusterSet,
        media: &Path,
    ) -> anyhow::Result<()> {
        let n_slow = self.scale.n_slow;
        let name = format!("{n_slow} slow readers of {} KB/s", RATE / 1000);
        if !self.filter.includes(&name) {
            return Ok(());
        }
        tell("measuring slow readers");
        let cluster = &mut clusters.fresh.cluster;
        let pids = [cluster.pid_of(Role::Httpd)?, cluster.pid_of(Role::Storage)?];
        let file = File::list(Path::new(&clusters.fresh.list(self.scale.huge)))?.remove(0);
        let ours = self.slow_readers_of_httpd(&clusters.fresh, pids, &file)?;
        let nginx = self.slow_readers_of_nginx(&clusters.fresh, media, &file)?;

        let all = ("all of them", Summary::exactly(n_slow as f64));
        let served = Summary::exactly(ours.n_served as f64);
        let row = Row::new(format!("{name}, served"), "", Better::More, served, all);
        self.rows.push(row.goal(1.0));
        let (mib, limit) = (Summary::exactly(ours.mib), Summary::exactly(MIB_MAX));
        let limit = ("512 MiB", limit);
        let row = Row::new(format!("{name}, memory"), "MiB", Better::Less, mib, limit);
        self.rows.push(row.goal(1.0));
        let name = format!("{name}, a fast one beside");
        let alone = ("itself alone", ours.alone);
        let row = Row::new(name.clone(), "MB/s", Better::More, ours.beside, alone);
        self.rows.push(row);
        let (name, nginx) = (format!("{name}, nginx"), ("nginx beside as many", nginx));
        let row = Row::new(name, "MB/s", Better::More, ours.beside, nginx);
        self.rows.push(row.goal(0.9));
        Ok(())
    }

    fn slow_readers_of_httpd(
        &self,
        target: &BenchCluster,
        pids: [u32; 2],
        file: &File,
    ) -> anyhow::Result<Figures> {
        let read = |round| target.reads("http", 1, self.scale.large, round);
        let alone = self.fast_reader(read)?;
        let httpd = target.cluster.addresses(Role::Httpd)[0];
        let readers = SlowReaders::start(httpd, "/files", file, self.scale.n_slow)?;
        let beside = self.fast_reader(read)?;
        let mut kib = 0;
        for pid in pids {
            kib += proc::figures(pid)?.rss_max_kib;
        }
        Ok(Figures {
            alone,
            beside,
            mib: kib as f64 / 1024.0,
            n_served: readers.stop()?,
        })
    }

    /// The rate of a fast reader of nginx beside slow ones, in MB/s.
    fn slow_readers_of_nginx(
        &self,
        target: &BenchCluster,
        media: &Path,
        file: &File,
    ) -> anyhow::Result<Summary> {
        let nginx = Nginx::start(&self.scratch, media)?;
        let readers = SlowReaders::start(nginx.addr(), FOLDER, file, self.scale.n_slow)?;
        let read = |round| round_of_nginx(&nginx, target, ("http", self.scale.large), 1, round);
        let beside = self.fast_reader(read)?;
        readers.stop()?;
        Ok(beside)
    }

    /// The rate of one client that reads as fast as it can, in MB/s.
    fn fast_reader(
        &self,
        read: impl Fn(Round) -> anyhow::Result<Measurement>,
    ) -> anyhow::Result<Summary> {
        let rounds = (0..self.scale.n_rounds).map(|_| read(self.scale.round));
        let rounds = rounds.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Metric::Bytes.of(&rounds))
    }
}
