//! A cluster that is measured: its files, and rounds of load.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use bench::{Figures, Moment};
use serde::Deserialize;

use super::measurement::{CpuClock, Measurement};
use super::references::Round;
use crate::binaries::Binaries;
use crate::cluster::Cluster;
use crate::layout::Layout;
use crate::plan::{Node, Role};
use crate::tnv::Tnv;

/// A running cluster, with `tnv bench` as its load.
pub(super) struct BenchCluster {
    pub(super) cluster: Cluster,
    tnv: Tnv,
    pids: Vec<u32>,
    lists: PathBuf,
}

/// Files that are stored before a measurement, to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    /// The name of the file with their list.
    pub(super) name: &'static str,
    pub(super) count: usize,
    pub(super) size: u64,
}

#[derive(Deserialize)]
struct Event {
    event: String,
}

impl BenchCluster {
    /// Starts a cluster in `folder`. The processor time of `others`, such as a database server, is
    /// added to that of the daemons.
    pub(super) fn start(
        layout: &Layout,
        folder: &Path,
        others: &[u32],
    ) -> anyhow::Result<BenchCluster> {
        let binaries = Binaries::beside_this_program()?;
        let mut cluster = Cluster::start(layout, folder, binaries)?;
        let nodes: Vec<Node> = cluster.plan().nodes.clone();
        let mut pids = others.to_vec();
        for node in &nodes {
            pids.push(cluster.process(node)?.pid());
        }
        Ok(BenchCluster {
            tnv: Tnv::new(cluster.plan(), cluster.binaries()),
            lists: cluster.plan().folder.clone(),
            cluster,
            pids,
        })
    }

    /// Stores the files for [`BenchCluster::reads`].
    pub(super) fn store(&self, batch: Batch) -> anyhow::Result<()> {
        let (list, size) = (self.list(batch), batch.size.to_string());
        let (files, threads) = (batch.count.to_string(), batch.count.min(8).to_string());
        let args = [
            "bench",
            "--mix=stat",
            "--count=1",
            "--warm-up=0s",
            "--size",
            &size,
        ];
        let more = ["--files", &files, "--threads", &threads, "--keep", &list];
        self.tnv.say([&args[..], &more].concat()).map(drop)
    }

    /// The path of the list of a batch.
    pub(super) fn list(&self, batch: Batch) -> String {
        let path = self.lists.join(format!("{}.json", batch.name));
        path.to_string_lossy().into_owned()
    }

    /// A round of `threads` threads that do `mix` with the files of a batch.
    pub(super) fn reads(
        &self,
        mix: &str,
        threads: usize,
        batch: Batch,
        round: Round,
    ) -> anyhow::Result<Measurement> {
        let httpd = format!("http://{}", self.cluster.addresses(Role::Httpd)[0]);
        let list = self.list(batch);
        let args = ["--mix", mix, "--use", &list, "--http", &httpd];
        self.round(&args, threads, round)
    }

    /// A round of `threads` threads that do `mix` at trackers or idservers.
    pub(super) fn small_requests(
        &self,
        mix: &str,
        threads: usize,
        round: Round,
    ) -> anyhow::Result<Measurement> {
        let idserver = self.cluster.addresses(Role::Idserver)[0].to_string();
        self.round(&["--mix", mix, "--idservers", &idserver], threads, round)
    }

    /// A round with other arguments.
    pub(super) fn round(
        &self,
        args: &[&str],
        threads: usize,
        round: Round,
    ) -> anyhow::Result<Measurement> {
        run_bench(&self.tnv, args, threads, round, &self.pids)
    }

    /// A round against another HTTP server with the processes `pids`.
    pub(super) fn round_elsewhere(
        &self,
        args: &[&str],
        threads: usize,
        round: Round,
        pids: &[u32],
    ) -> anyhow::Result<Measurement> {
        run_bench(&self.tnv, args, threads, round, pids)
    }
}

/// Runs `tnv bench` and measures the processor time of `pids`.
fn run_bench(
    tnv: &Tnv,
    args: &[&str],
    threads: usize,
    round: Round,
    pids: &[u32],
) -> anyhow::Result<Measurement> {
    let (threads, time) = (threads.to_string(), format!("{}ms", round.time.as_millis()));
    let warm_up = format!("{}ms", round.warm_up.as_millis());
    let all = [
        "--json",
        "bench",
        "--threads",
        &threads,
        "--duration",
        &time,
    ];
    let all = [&all[..], &["--warm-up", &warm_up], args].concat();
    let mut command = tnv.command(&all);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("a pipe was asked for")?;
    let mut clock = CpuClock::of(pids);
    let mut figures = None;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        match serde_json::from_str::<Event>(&line) {
            Ok(event) if event.event == "begun" => clock.note(Moment::Begun),
            Ok(_) => clock.note(Moment::Ended),
            Err(_) => figures = Some(serde_json::from_str::<Figures>(&line)?),
        }
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    let status = child.wait()?;
    let Some(figures) = figures else {
        bail!("tnv {} ended with {status}: {}", all.join(" "), said.trim());
    };
    ensure!(
        status.success(),
        "tnv {} ended with {status}: {:?}",
        all.join(" "),
        figures.errors
    );
    Ok(Measurement {
        figures,
        server_cpu: clock.seconds(),
    })
}
