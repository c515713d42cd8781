//! The rows: what is measured, beside which limit, and which ratio is wanted.

use std::path::{Path, PathBuf};

use anyhow::Context;
use test_mariadb::Mariadb;

use super::child::Companion;
use super::contest::Contest;
use super::limits::{
    Committer, FOLDER, File, Getter, Inserter, Nginx, Plain, Putter, Redis, Round, Syncer, empty,
    folder_of, run,
};
use super::measured::{Measured, View};
use super::only::Only;
use super::row::{Better, Row};
use super::slow::{RATE, Readers};
use super::stand::{Batch, Stand};
use super::stats::Summary;
use super::trio::{Kind, Trio};
use crate::plan::Role;
use crate::terminal::tell;
use crate::{ports, proc};

/// What FastDFS 6.16.1 reached, without fsync and database, on a quiet machine of two processors:
/// the middle of two runs. Figures of another run, for information.
mod fastdfs {
    pub(super) const UPLOAD_SMALL: f64 = 8_450.0;
    pub(super) const DOWNLOAD_SMALL: f64 = 21_550.0;
    pub(super) const UPLOAD_LARGE: f64 = 295.0;
    pub(super) const DOWNLOAD_LARGE: f64 = 1_430.0;
}

/// Most memory of httpd and storage together beside slow readers, in MiB.
const SLOW_MIB_MAX: f64 = 512.0;
/// Largest file that stays until the end, in bytes.
const SMALL_MAX: u64 = 1 << 20;
/// Where plain servers listen.
const PORT: u16 = 19_000;
/// Length of a value of redis that is as small as a tracker's reply.
const SMALL_VALUE: u64 = 64;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) n_rounds: usize,
    pub(super) round: Round,
    /// Rows of other files in the old cluster.
    pub(super) n_rows: u64,
    pub(super) small: Batch,
    pub(super) large: Batch,
    pub(super) huge: Batch,
    pub(super) n_slow: usize,
}

/// A run, and the rows it has so far.
pub(super) struct Bench {
    scratch: PathBuf,
    scale: Scale,
    only: Only,
    rows: Vec<Row>,
    /// What is left of them beside idle connections and with many rows: shown at the end.
    kept: Vec<Row>,
}

impl Bench {
    pub(super) fn new(scratch: PathBuf, scale: Scale, only: Only) -> Bench {
        Bench {
            scratch,
            scale,
            only,
            rows: Vec::new(),
            kept: Vec::new(),
        }
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows.into_iter().chain(self.kept).collect()
    }

    /// Measures everything: first what waits for the disk, before there is much on its way to it.
    pub(super) fn run(&mut self) -> anyhow::Result<()> {
        self.with_durability()?;
        self.with_mariadb()?;
        self.with_sqlite()
    }

    fn trio(&self, name: &str, kind: &Kind<'_>) -> anyhow::Result<Trio> {
        Trio::start(&self.scratch.join(name), kind)
    }

    /// The rounds of one row, if it is wanted.
    fn contest(
        &self,
        name: &str,
        trio: &Trio,
        ours: &dyn Fn(&Stand) -> anyhow::Result<Measured>,
        reference: &mut dyn FnMut() -> anyhow::Result<Measured>,
    ) -> anyhow::Result<Option<Contest>> {
        let run = || Contest::run(name, self.scale.n_rounds, trio, ours, reference);
        self.only.includes(name).then(run).transpose()
    }

    fn keep(&mut self, contest: &Contest, view: View) {
        self.kept.extend(contest.kept(view, self.scale.n_rows));
    }

    /// A round of uploads of one size. Small files stay to the end of the run: an ext4 without a
    /// journal makes whoever creates a file look at every one that was removed within the last
    /// minute, and later rounds would be slower than earlier ones.
    fn upload(&self, stand: &Stand, size: u64, n_threads: usize) -> anyhow::Result<Measured> {
        let (text, list) = (size.to_string(), self.scratch.join("kept.json"));
        let list = list.to_string_lossy();
        let mut args = vec!["--mix=upload", "--size", &text];
        if size <= SMALL_MAX {
            args.extend(["--keep", &*list]);
        }
        stand.round(&args, n_threads, self.scale.round)
    }

    fn with_durability(&mut self) -> anyhow::Result<()> {
        const NAME: &str = "upload 16 KiB, 64 clients, durability full";
        const THREADS: usize = 64;
        if !self.only.includes(NAME) {
            return Ok(());
        }
        let kind = Kind {
            durability: "full",
            mariadb: None,
            n_rows: self.scale.n_rows,
            batches: &[],
        };
        let (size, round) = (self.scale.small.size, self.scale.round);
        let trio = self.trio("full", &kind)?;
        let folder = self.scratch.join("synced");
        let Some(contest) = self.contest(
            NAME,
            &trio,
            &|stand| self.upload(stand, size, THREADS),
            &mut || {
                let folder = folder.join(seed().to_string());
                let syncer = |idx| Syncer::new(&folder, idx, size);
                let syncers = (0..THREADS).map(syncer).collect::<Result<Vec<_>, _>>()?;
                run(syncers, &[std::process::id()], round)
            },
        )?
        else {
            return Ok(());
        };
        let row = contest.row(View::Rate, "64 threads write, fsync, rename");
        self.rows.push(row.goal(0.5));
        self.keep(&contest, View::Rate);
        Ok(())
    }

    fn with_mariadb(&mut self) -> anyhow::Result<()> {
        const NAME: &str = "upload 16 KiB, 8 threads, MariaDB";
        const THREADS: usize = 8;
        if !self.only.includes(NAME) {
            return Ok(());
        }
        let server = Mariadb::start_with(&[
            // As durable as the files of these rows: kill -9, not a power cut.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=1G",
            "--innodb-log-file-size=256M",
        ]);
        server.create_database("limits");
        let pid = server.pid().context("MariaDB runs")?;
        let kind = Kind {
            durability: "none",
            mariadb: Some(&server),
            n_rows: self.scale.n_rows,
            batches: &[],
        };
        let (size, round) = (self.scale.small.size, self.scale.round);
        let trio = self.trio("mariadb", &kind)?;
        let Some(contest) = self.contest(
            NAME,
            &trio,
            &|stand| self.upload(stand, size, THREADS),
            &mut || {
                let inserter = |_| Inserter::new(&server, "limits", seed());
                let inserters = (0..THREADS).map(inserter).collect::<anyhow::Result<_>>()?;
                run::<Inserter>(inserters, &[pid], round)
            },
        )?
        else {
            return Ok(());
        };
        self.rows
            .push(contest.row(View::Rate, "MariaDB, 8 connections, a row for each commit"));
        self.rows
            .push(contest.fastdfs(View::Rate, fastdfs::UPLOAD_SMALL, 1.0));
        self.keep(&contest, View::Rate);
        Ok(())
    }

    fn with_sqlite(&mut self) -> anyhow::Result<()> {
        let Scale {
            small, large, huge, ..
        } = self.scale;
        let batches = [small, large, huge];
        let kind = Kind {
            durability: "none",
            mariadb: None,
            n_rows: self.scale.n_rows,
            batches: &batches,
        };
        let mut trio = self.trio("none", &kind)?;
        let media = trio.publish(&self.scratch, &batches)?;
        self.small_uploads(&trio)?;
        let redis = Redis::start(&self.scratch)?;
        self.small_downloads(&trio, &redis)?;
        self.small_requests(&trio, &redis)?;
        self.download_large(&trio, &media)?;
        self.upload_large(&trio)?;
        self.http(&trio, &media)?;
        self.slow_readers(&mut trio, &media)?;
        trio.memory.retain(|row| self.only.includes(&row.name));
        self.rows.append(&mut trio.memory);
        Ok(())
    }

    fn small_uploads(&mut self, trio: &Trio) -> anyhow::Result<()> {
        let (size, round) = (self.scale.small.size, self.scale.round);
        let path = self.scratch.join("limit.db");
        let Some(contest) = self.contest(
            "upload 16 KiB, 8 threads, SQLite",
            trio,
            &|stand| self.upload(stand, size, 8),
            &mut || run(vec![Committer::open(&path)?], &[std::process::id()], round),
        )?
        else {
            return Ok(());
        };
        self.rows
            .push(contest.row(View::Rate, "SQLite, a row for each commit"));
        self.rows
            .push(contest.fastdfs(View::Rate, fastdfs::UPLOAD_SMALL, 1.2));
        self.keep(&contest, View::Rate);
        Ok(())
    }

    fn small_downloads(&mut self, trio: &Trio, redis: &Redis) -> anyhow::Result<()> {
        let Scale { small, round, .. } = self.scale;
        let Some(contest) = self.contest(
            "download 16 KiB, 8 threads",
            trio,
            &|stand| stand.reads("download", 8, small, round),
            &mut || redis.round(8, small.count as u64, small.size, round),
        )?
        else {
            return Ok(());
        };
        self.rows
            .push(contest.row(View::Rate, "redis GET of 16 KiB").goal(0.4));
        self.rows
            .push(contest.fastdfs(View::Rate, fastdfs::DOWNLOAD_SMALL, 1.3));
        self.keep(&contest, View::Rate);
        Ok(())
    }

    fn small_requests(&mut self, trio: &Trio, redis: &Redis) -> anyhow::Result<()> {
        let round = self.scale.round;
        for (name, mix) in [("tracker saddrs", "saddrs"), ("idserver get", "id")] {
            let Some(contest) = self.contest(
                &format!("{name}, 32 connections"),
                trio,
                &|stand| {
                    let idserver = stand.cluster.addresses(Role::Idserver)[0].to_string();
                    let args = ["--mix", mix, "--idservers", &idserver];
                    stand.round(&args, 32, round)
                },
                &mut || redis.round(32, 1, SMALL_VALUE, round),
            )?
            else {
                continue;
            };
            self.rows
                .push(contest.row(View::Rate, "redis GET of 64 bytes").goal(0.7));
            self.keep(&contest, View::Rate);
        }
        Ok(())
    }

    fn download_large(&mut self, trio: &Trio, media: &Path) -> anyhow::Result<()> {
        const THREADS: usize = 2;
        let Scale { large, round, .. } = self.scale;
        let files = File::list(Path::new(&trio.new.list(large)))?;
        let (sender, addr) = self.plain(Plain::Sender, media)?;
        let Some(contest) = self.contest(
            "download 100 MiB, 2 threads",
            trio,
            &|stand| stand.reads("download", THREADS, large, round),
            &mut || {
                let getter = |_| Getter::new(addr, &files, seed());
                let getters = (0..THREADS).map(getter).collect::<Result<Vec<_>, _>>()?;
                run(getters, &[sender.pid()], round)
            },
        )?
        else {
            return Ok(());
        };
        self.rows
            .push(contest.row(View::Bytes, "plain sendfile server").goal(0.9));
        let cpu = contest.side_row(View::CpuPerGb, "CPU", "plain sendfile server");
        self.rows.push(cpu.goal(1.0 / 1.2));
        self.rows
            .push(contest.fastdfs(View::Bytes, fastdfs::DOWNLOAD_LARGE, 1.3));
        self.keep(&contest, View::Bytes);
        Ok(())
    }

    fn upload_large(&mut self, trio: &Trio) -> anyhow::Result<()> {
        const THREADS: usize = 2;
        let (size, round) = (self.scale.large.size, self.scale.round);
        let mut sinks = Vec::new();
        for what in [Plain::Sink, Plain::ReservingSink] {
            let folder = folder_of(what, &self.scratch);
            std::fs::create_dir_all(&folder)?;
            let (sink, addr) = self.plain(what, &folder)?;
            sinks.push((sink, addr, folder));
        }
        let Some(contest) = self.contest(
            "upload 100 MiB, 2 threads, durability none",
            trio,
            &|stand| self.upload(stand, size, THREADS),
            &mut || {
                // The better of both in each round.
                let mut best: Option<Measured> = None;
                for (sink, addr, folder) in &sinks {
                    let putter = |_| Putter::new(*addr, size, seed());
                    let putters = (0..THREADS).map(putter).collect::<Result<Vec<_>, _>>()?;
                    let measured = run(putters, &[sink.pid()], round)?;
                    empty(folder)?;
                    let rate = measured.figures.mb_per_second;
                    if best
                        .as_ref()
                        .is_none_or(|best| best.figures.mb_per_second < rate)
                    {
                        best = Some(measured);
                    }
                }
                best.context("there are sinks")
            },
        )?
        else {
            return Ok(());
        };
        self.rows
            .push(contest.row(View::Bytes, "plain sink to disk").goal(0.8));
        let cpu = contest.side_row(View::CpuPerGb, "CPU", "plain sink to disk");
        self.rows.push(cpu.goal(1.0 / 1.3));
        self.rows
            .push(contest.fastdfs(View::Bytes, fastdfs::UPLOAD_LARGE, 2.0));
        self.keep(&contest, View::Bytes);
        Ok(())
    }

    fn http(&mut self, trio: &Trio, media: &Path) -> anyhow::Result<()> {
        const AGAINST: &str = "nginx with sendfile";
        let Scale {
            large, huge, round, ..
        } = self.scale;
        let nginx = Nginx::start(&self.scratch, media)?;
        let url = nginx.url();
        let elsewhere = |mix: &str, n_threads, batch| {
            let list = trio.new.list(batch);
            let args = ["--mix", mix, "--use", &list, "--http", &url];
            trio.new
                .round_elsewhere(&args, n_threads, round, &[nginx.pid()])
        };
        let compare = |name: &str, mix: &str, n_threads, batch| {
            let ours = |stand: &Stand| stand.reads(mix, n_threads, batch, round);
            self.contest(name, trio, &ours, &mut || elsewhere(mix, n_threads, batch))
        };
        let one = compare("HTTP 100 MiB, 1 connection", "http", 1, large)?;
        let eight = compare("HTTP 100 MiB, 8 connections", "http", 8, large)?;
        let ranges = compare(
            "HTTP ranges of 64 KiB, 32 connections",
            "http-range",
            32,
            large,
        )?;
        let seek = compare("first byte after a seek, 1 GiB", "http-seek", 1, huge)?;
        for whole in [&one, &eight].into_iter().flatten() {
            self.rows.push(whole.row(View::Bytes, AGAINST).goal(0.8));
            self.rows
                .push(whole.side_row(View::CpuPerGb, "CPU", AGAINST).goal(0.5));
            self.keep(whole, View::Bytes);
        }
        if let Some(ranges) = ranges {
            self.rows.push(ranges.row(View::Rate, AGAINST).goal(0.6));
            self.rows
                .push(ranges.side_row(View::P99, "p99", AGAINST).goal(1.0 / 1.5));
            self.keep(&ranges, View::Rate);
        }
        if let Some(seek) = seek {
            self.rows
                .push(seek.row(View::Median, AGAINST).goal(1.0 / 1.5));
            self.keep(&seek, View::Median);
        }
        Ok(())
    }

    /// Many slow readers through httpd, and a fast one beside them; through nginx too.
    fn slow_readers(&mut self, trio: &mut Trio, media: &Path) -> anyhow::Result<()> {
        let Scale { large, huge, .. } = self.scale;
        let n_slow = self.scale.n_slow;
        let name = format!("{n_slow} slow readers of {} KB/s", RATE / 1000);
        if !self.only.includes(&name) {
            return Ok(());
        }
        tell("measuring slow readers");
        let pids = [trio.new.pid(Role::Httpd)?, trio.new.pid(Role::Storage)?];
        let stand = &trio.new;
        let file = File::list(Path::new(&stand.list(huge)))?.remove(0);
        let list = stand.list(large);
        let nginx = Nginx::start(&self.scratch, media)?;
        let url = nginx.url();

        let alone = self.fast_reader(|round| stand.reads("http", 1, large, round))?;
        let httpd = stand.cluster.addresses(Role::Httpd)[0];
        let readers = Readers::start(httpd, "/files", &file, n_slow)?;
        let beside = self.fast_reader(|round| stand.reads("http", 1, large, round))?;
        let mut kib = 0;
        for pid in pids {
            kib += proc::figures(pid)?.rss_max_kib;
        }
        let n_served = readers.stop()?;

        let readers = Readers::start(nginx.addr(), FOLDER, &file, n_slow)?;
        let args = ["--mix", "http", "--use", &list, "--http", &url];
        let nginx_beside =
            self.fast_reader(|round| stand.round_elsewhere(&args, 1, round, &[nginx.pid()]))?;
        readers.stop()?;

        let all = ("all of them", Summary::exactly(n_slow as f64));
        let served = Summary::exactly(n_served as f64);
        let row = Row::new(format!("{name}, served"), "", Better::More, served, all);
        self.rows.push(row.goal(1.0));
        let (mib, most) = (kib as f64 / 1024.0, ("512 MiB", SLOW_MIB_MAX));
        let (mib, most) = (Summary::exactly(mib), (most.0, Summary::exactly(most.1)));
        let row = Row::new(format!("{name}, memory"), "MiB", Better::Less, mib, most);
        self.rows.push(row.goal(1.0));
        let name = format!("{name}, a fast one beside");
        let alone = ("itself alone", alone);
        let row = Row::new(name.clone(), "MB/s", Better::More, beside, alone);
        self.rows.push(row.goal(0.7));
        let name = format!("{name}, nginx");
        let nginx = ("nginx beside as many", nginx_beside);
        self.rows
            .push(Row::new(name, "MB/s", Better::More, beside, nginx));
        Ok(())
    }

    /// The rounds of one client that reads as fast as it can.
    fn fast_reader(
        &self,
        read: impl Fn(Round) -> anyhow::Result<Measured>,
    ) -> anyhow::Result<Summary> {
        let rounds = (0..self.scale.n_rounds).map(|_| read(self.scale.round));
        let rounds = rounds.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(View::Bytes.of(&rounds))
    }

    /// A plain server, in a process of its own so that its processor time can be told.
    fn plain(
        &self,
        what: Plain,
        folder: &Path,
    ) -> anyhow::Result<(Companion, std::net::SocketAddr)> {
        use clap::ValueEnum as _;
        let addr = ports::free_from(PORT)?;
        let name = what
            .to_possible_value()
            .context("a value that has a name")?;
        let log = self.scratch.join(format!("{}.log", name.get_name()));
        let address = addr.to_string();
        let folder = folder.to_string_lossy();
        let args = ["serve", name.get_name(), &address, &folder];
        let server = Companion::of_this_program(args, &log)?;
        server.wait_listening(addr, &log)?;
        Ok((server, addr))
    }
}

/// Clients of the same kind begin with different files.
fn seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}
