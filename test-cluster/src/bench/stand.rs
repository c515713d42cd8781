//! A cluster that is measured: its files, what else it has to bear, and rounds of load on it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use bench::{Figures, Moment};
use serde::Deserialize;

use super::limits::Round;
use super::measured::{CpuClock, Measured};
use crate::binaries::Binaries;
use crate::cluster::Cluster;
use crate::layout::Layout;
use crate::plan::{Node, Role};
use crate::tnv::Tnv;

/// A running cluster.
pub(super) struct Stand {
    pub(super) cluster: Cluster,
    tnv: Tnv,
    pids: Vec<u32>,
    lists: PathBuf,
}

/// Files to be read, stored beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    /// What their list is called.
    pub(super) name: &'static str,
    pub(super) count: usize,
    pub(super) size: u64,
}

#[derive(Deserialize)]
struct Event {
    event: String,
}

impl Stand {
    /// Starts a cluster in `folder`. The processor time of `others`, such as a database server,
    /// counts as its own.
    pub(super) fn start(layout: &Layout, folder: &Path, others: &[u32]) -> anyhow::Result<Stand> {
        let binaries = Binaries::beside_this_program()?;
        let mut cluster = Cluster::start(layout, folder, binaries)?;
        let nodes: Vec<Node> = cluster.plan().nodes.clone();
        let mut pids = others.to_vec();
        for node in &nodes {
            pids.push(cluster.process(node)?.pid());
        }
        Ok(Stand {
            tnv: Tnv::new(cluster.plan(), cluster.binaries()),
            lists: cluster.plan().folder.clone(),
            cluster,
            pids,
        })
    }

    /// The process of the first daemon of a kind.
    pub(super) fn pid(&mut self, role: Role) -> anyhow::Result<u32> {
        let node = self.cluster.plan().of(role).next().cloned();
        Ok(self.cluster.process(&node.context("one of each")?)?.pid())
    }

    /// Stores files for [`Stand::reads`].
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

    /// Where the list of a batch is.
    pub(super) fn list(&self, batch: Batch) -> String {
        let path = self.lists.join(format!("{}.json", batch.name));
        path.to_string_lossy().into_owned()
    }

    /// A round of `threads` that do `mix` with the files of a batch.
    pub(super) fn reads(
        &self,
        mix: &str,
        threads: usize,
        batch: Batch,
        round: Round,
    ) -> anyhow::Result<Measured> {
        let httpd = format!("http://{}", self.cluster.addresses(Role::Httpd)[0]);
        let list = self.list(batch);
        let args = ["--mix", mix, "--use", &list, "--http", &httpd];
        self.round(&args, threads, round)
    }

    /// A round of anything.
    pub(super) fn round(
        &self,
        args: &[&str],
        threads: usize,
        round: Round,
    ) -> anyhow::Result<Measured> {
        load_of(&self.tnv, args, threads, round, &self.pids)
    }

    /// A round of the same against another HTTP server, whose processes are `pids`.
    pub(super) fn round_elsewhere(
        &self,
        args: &[&str],
        threads: usize,
        round: Round,
        pids: &[u32],
    ) -> anyhow::Result<Measured> {
        load_of(&self.tnv, args, threads, round, pids)
    }
}

/// Runs `tnv bench` and takes the processor time of `pids` in the measured time.
fn load_of(
    tnv: &Tnv,
    args: &[&str],
    threads: usize,
    round: Round,
    pids: &[u32],
) -> anyhow::Result<Measured> {
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
    Ok(Measured {
        figures,
        server_cpu: clock.seconds(),
    })
}
