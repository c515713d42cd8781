//! How much memory servers take while many clients move large files at once.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::Content;
use client::{Client, ClientConfig, new_file_id};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use proto::{FileKey, UserId};
use test_support::http;

use super::scratch;
use crate::binaries::Binaries;
use crate::cluster::Cluster;
use crate::layout::Layout;
use crate::plan::{APP, Role, USER};
use crate::proc;
use crate::terminal::tell;

/// Most memory a storage or httpd may ever have taken.
pub const RSS_MAX_KIB: u64 = 64 << 10;
/// Time between two samples.
const SAMPLE: Duration = Duration::from_millis(200);
/// Free disk space that is left alone.
const DISK_RESERVE: u64 = 2 << 30;
/// Longest wait for an HTTP answer while so many others are served.
const ANSWER: Duration = Duration::from_secs(120);

/// One transfer of every client at once.
#[derive(Debug, Clone)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Bytes moved, by all.
    pub bytes: u64,
    /// The most memory seen meanwhile: of the storage and of httpd, in KiB.
    pub rss_seen_kib: [u64; 2],
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    /// Uploads, downloads, HTTP.
    pub phases: Vec<Phase>,
    /// The most memory ever taken, as the kernel keeps it: by the storage and by httpd, in KiB.
    pub rss_max_kib: [u64; 2],
}

impl Report {
    /// Whether the servers kept within bounds.
    ///
    /// # Errors
    /// One took more.
    pub fn check(&self) -> anyhow::Result<()> {
        for (name, kib) in ["storage", "httpd"].into_iter().zip(self.rss_max_kib) {
            ensure!(
                kib <= RSS_MAX_KIB,
                "{name} took {kib} KiB, more than {RSS_MAX_KIB}"
            );
        }
        Ok(())
    }
}

/// Measures with a cluster in a folder below `folder`, prints the figures, and judges them.
///
/// # Errors
/// The disk is too small, a transfer failed or was damaged, or a server took too much memory.
pub fn measure(folder: &Path, n_clients: usize, size: u64) -> anyhow::Result<()> {
    let scratch = scratch(folder, "memory-")?;
    check_disk(scratch.path(), n_clients as u64 * size)?;
    let binaries = Binaries::beside_this_program()?;
    let mut cluster = Cluster::start(&Layout::small(1), scratch.path(), binaries)?;
    tell(format_args!(
        "{n_clients} clients at once, {} MiB each",
        size >> 20
    ));
    let report = run(&mut cluster, n_clients, size)?;
    for phase in &report.phases {
        let rate = phase.bytes as f64 / phase.took.as_secs_f64() / 1e6;
        let [storage, httpd] = phase.rss_seen_kib;
        tell(format_args!(
            "{:<22} {:>8.1} s {rate:>8.0} MB/s   VmRSS seen: storage {storage} KiB, httpd {httpd} KiB",
            phase.name,
            phase.took.as_secs_f64()
        ));
    }
    let [storage, httpd] = report.rss_max_kib;
    tell(format_args!(
        "VmHWM: storage {storage} KiB, httpd {httpd} KiB (allowed: {RSS_MAX_KIB} KiB)"
    ));
    cluster.stop()?;
    report.check()
}

/// Moves files in all ways through the first storage and the first httpd of a cluster. Every file
/// is deleted when the last reader has compared it.
///
/// # Errors
/// A transfer failed, or the content differs.
pub fn run(cluster: &mut Cluster, n_clients: usize, size: u64) -> anyhow::Result<Report> {
    let pids = pids(cluster)?;
    let load = Load::new(cluster, n_clients, size)?;
    let phases = vec![
        load.phase("upload", pids, Load::upload)?,
        load.phase("download", pids, Load::download)?,
        load.phase("download through httpd", pids, Load::browse)?,
    ];
    Ok(Report {
        phases,
        rss_max_kib: rss_max(pids)?,
    })
}

/// The files of all clients, and how they are moved.
struct Load {
    client: Client,
    httpd: String,
    files: Vec<(FileKey, Content)>,
}

impl Load {
    fn new(cluster: &Cluster, n_clients: usize, size: u64) -> anyhow::Result<Load> {
        let trackers = cluster.addresses(Role::Tracker);
        let mut config = ClientConfig::new(trackers.into_iter().map(Into::into).collect());
        config.connection.io_timeout = ANSWER;
        let user = UserId::new(USER)?;
        let file = |idx| -> anyhow::Result<(FileKey, Content)> {
            let key = FileKey {
                app: APP.parse()?,
                user: user.clone(),
                file: new_file_id(&user),
            };
            Ok((key, Content::new(idx as u64, size)))
        };
        Ok(Load {
            client: Client::new(config),
            httpd: cluster.addresses(Role::Httpd)[0].to_string(),
            files: (0..n_clients).map(file).collect::<anyhow::Result<_>>()?,
        })
    }

    /// Does the same for every file at once, and watches the servers meanwhile.
    fn phase(
        &self,
        name: &'static str,
        pids: [u32; 2],
        act: fn(&Load, &FileKey, &Content) -> anyhow::Result<()>,
    ) -> anyhow::Result<Phase> {
        let begun = Instant::now();
        let (done, until) = bounded(0);
        let rss_seen_kib = thread::scope(|scope| {
            let sampler = scope.spawn(move || sample(pids, &until));
            let clients: Vec<_> = self
                .files
                .iter()
                .map(|(key, content)| scope.spawn(move || act(self, key, content)))
                .collect();
            let results = clients.into_iter().map(|client| client.join());
            let results: Vec<_> = results.collect();
            drop(done);
            let seen = sampler.join();
            for result in results {
                let moved = result.map_err(|_| anyhow::anyhow!("a client panicked"))?;
                moved.with_context(|| format!("while measuring the {name}"))?;
            }
            seen.map_err(|_| anyhow::anyhow!("the sampler panicked"))
        })?;
        let bytes = self.files.iter().map(|(_, content)| content.size()).sum();
        Ok(Phase {
            name,
            took: begun.elapsed(),
            bytes,
            rss_seen_kib,
        })
    }

    fn upload(&self, key: &FileKey, content: &Content) -> anyhow::Result<()> {
        let mut source = content.clone();
        self.client
            .upload(key, &mut source, content.size(), &mut |_| ())?;
        Ok(())
    }

    fn download(&self, key: &FileKey, content: &Content) -> anyhow::Result<()> {
        let mut stored = self.client.download(key)?;
        Ok(content.clone().compare(&mut stored)?)
    }

    fn browse(&self, key: &FileKey, content: &Content) -> anyhow::Result<()> {
        let url = format!("http://{}/files/{}", self.httpd, key.file);
        let (answer, mut body) = http::open(&url, None, ANSWER)?;
        ensure!(answer.status == 200, "{url}: status {}", answer.status);
        content.clone().compare(&mut body)?;
        self.client.delete(key)?;
        Ok(())
    }
}

/// The most memory seen until the other end of `until` is dropped.
fn sample(pids: [u32; 2], until: &Receiver<()>) -> [u64; 2] {
    let mut seen = [0; 2];
    loop {
        for (most, pid) in seen.iter_mut().zip(pids) {
            *most = proc::figures(pid).map_or(*most, |figures| figures.rss_kib.max(*most));
        }
        if until.recv_timeout(SAMPLE) != Err(RecvTimeoutError::Timeout) {
            return seen;
        }
    }
}

fn pids(cluster: &mut Cluster) -> anyhow::Result<[u32; 2]> {
    let mut pid = |role| -> anyhow::Result<u32> {
        let node = cluster.plan().of(role).next().cloned();
        Ok(cluster.process(&node.context("one of each")?)?.pid())
    };
    Ok([pid(Role::Storage)?, pid(Role::Httpd)?])
}

fn rss_max(pids: [u32; 2]) -> anyhow::Result<[u64; 2]> {
    let [storage, httpd] = pids.map(|pid| proc::figures(pid).map(|figures| figures.rss_max_kib));
    Ok([storage?, httpd?])
}

fn check_disk(folder: &Path, needed: u64) -> anyhow::Result<()> {
    let stat = rustix::fs::statvfs(folder).context("cannot tell the free disk space")?;
    let free = stat.f_bavail * stat.f_frsize;
    ensure!(
        free >= needed + DISK_RESERVE,
        "{} MiB are needed and {} MiB are free: give a smaller --size",
        (needed + DISK_RESERVE) >> 20,
        free >> 20
    );
    Ok(())
}
