//! A measurement of `tnv bench`, from storing the files to removing them.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use client::{Client, ClientConfig};
use proto::idserver::IdRequest;
use proto::{Address, AppId, IdKey, UserId};

use crate::failure::UsageError;
use crate::files::{FilePool, Stored, load_list, save_list};
use crate::http::{HttpClient, HttpServer};
use crate::mix::{Mix, Operation};
use crate::worker::{BenchWorker, Peers, Task};
use crate::{Failure, Figures, Meter, Moment, Timing, drive};

/// The cluster under load, and the user whose files are measured.
#[derive(Debug)]
pub struct Target {
    /// The trackers, and the settings of connections.
    pub client: ClientConfig,
    /// The application of the files.
    pub app: AppId,
    /// The user of the files; required if [`Options::needs_user`].
    pub user: Option<UserId>,
}

/// Options of a measurement. Sizes are in bytes.
#[derive(Debug)]
pub struct Options {
    /// The operations and their weights.
    pub mix: Mix,
    /// Number of threads, each with connections of its own. At least one.
    pub n_threads: usize,
    /// Sizes of stored files. Each file gets a random one of them. Not empty.
    pub sizes: Vec<u64>,
    /// Number of files that are stored before the measurement; by default one for each thread.
    pub n_files: Option<usize>,
    /// Length of ranges. Not zero.
    pub range_len: u64,
    /// Warm-up and length of the measurement.
    pub timing: Timing,
    /// The idservers for operation `id`.
    pub idservers: Vec<Address>,
    /// The key of their numbers.
    pub id_key: IdKey,
    /// URL of the HTTP server, with the folder of the files if it is not `/files/APP/USER`.
    pub http: Option<String>,
    /// Keep the files and write their list here.
    pub keep: Option<PathBuf>,
    /// Read the files of this list and leave them.
    pub used: Option<PathBuf>,
}

impl Options {
    /// True if an operation needs the user. Numbers and listed files over HTTP need none.
    pub fn needs_user(&self) -> bool {
        let needs = |operation: Operation| {
            let is_listed = operation.is_http() && self.used.is_some();
            operation != Operation::Id && !is_listed
        };
        self.mix.any(needs)
    }

    fn check(&self) -> Result<(), UsageError> {
        let id_without_server =
            self.mix.any(|one| one == Operation::Id) && self.idservers.is_empty();
        let error = match () {
            () if id_without_server => "operation id needs --idservers",
            () if self.mix.any(Operation::is_http) && self.http.is_none() => {
                "HTTP operations need --http"
            }
            () if self.range_len == 0 => "--range is zero",
            () => return Ok(()),
        };
        Err(UsageError(error.to_owned()))
    }
}

/// Stores files, loads the cluster, compares every byte, and removes the files. `note` is called when the
/// measurement begins and ends. Failed operations are part of the figures.
///
/// # Errors
/// A [`UsageError`] in the chain: an option is invalid. Else files cannot be stored before the
/// measurement, or their list cannot be written.
pub fn run(
    target: &Target,
    options: &Options,
    note: &mut dyn FnMut(Moment),
) -> anyhow::Result<Figures> {
    let bench = Bench::new(target, options)?;
    let (files, mut setup_workers) = bench.prepare()?;
    let workers = bench.workers(options.n_threads, files);
    let names = Operation::ALL.map(Operation::name);
    let (mut figures, mut workers) = drive(&names, workers, options.timing, note);
    figures.operations.retain(|operation| operation.count > 0);
    bench.finish(&mut figures, &mut workers, &mut setup_workers)?;
    Ok(figures)
}

struct Bench<'a> {
    target: &'a Target,
    options: &'a Options,
    pool: Option<FilePool>,
    site: Option<HttpServer>,
}

impl<'a> Bench<'a> {
    fn new(target: &'a Target, options: &'a Options) -> Result<Bench<'a>, UsageError> {
        options.check()?;
        let mut bench = Bench {
            target,
            options,
            pool: None,
            site: None,
        };
        if options.needs_user() {
            bench.pool = Some(bench.pool()?);
        }
        bench.site = bench.site()?;
        Ok(bench)
    }

    /// A client that keeps a connection for each thread.
    fn pool(&self) -> Result<FilePool, UsageError> {
        let no_user = || UsageError("no user is given".to_owned());
        let mut config = self.target.client.clone();
        config.pool.idle_max = self.options.n_threads;
        Ok(FilePool {
            client: Client::new(config),
            app: self.target.app.clone(),
            user: self.target.user.clone().ok_or_else(no_user)?,
        })
    }

    fn site(&self) -> Result<Option<HttpServer>, UsageError> {
        let Some(url) = &self.options.http else {
            return Ok(None);
        };
        let user = self.target.user.as_ref().map(UserId::as_str);
        let folder = format!("/files/{}/{}", self.target.app, user.unwrap_or_default());
        let connection = self.target.client.connection.clone();
        HttpServer::parse(url, &folder, connection).map(Some)
    }

    /// The files to read, and the workers that stored them and will remove them.
    fn prepare(&self) -> anyhow::Result<(Vec<Stored>, Vec<BenchWorker>)> {
        if let Some(list) = &self.options.used {
            return Ok((load_list(list)?, Vec::new()));
        }
        let n_threads = self.options.n_threads;
        let n_files = match self.options.mix.any(Operation::reads) {
            true => self.options.n_files.unwrap_or(n_threads).max(1),
            false => 0,
        };
        let mut workers = self.workers(n_threads.min(n_files), Vec::new());
        let n_workers = workers.len();
        let failures = each(&mut workers, |idx, worker| {
            let share = n_files / n_workers + usize::from(idx < n_files % n_workers);
            let meter = Meter::default();
            let uploads = (0..share).map(|_| worker.upload(&meter));
            uploads.filter_map(Result::err).take(1).collect()
        });
        if let Some(failure) = failures.first() {
            each(&mut workers, |_, worker| worker.remove());
            anyhow::bail!("cannot store the files to read: {}", failure.message);
        }
        let files = workers.iter().flat_map(BenchWorker::own).cloned().collect();
        Ok((files, workers))
    }

    fn workers(&self, count: usize, files: Vec<Stored>) -> Vec<BenchWorker> {
        let options = self.options;
        let task = Arc::new(Task {
            mix: options.mix.clone(),
            sizes: options.sizes.clone(),
            range_len: options.range_len,
            files,
            connection: self.target.client.connection.clone(),
            id_request: IdRequest::GetId(options.id_key.clone()),
        });
        let worker = |idx: usize| {
            let (trackers, idservers) = (&self.target.client.trackers, &options.idservers);
            let peers = Peers {
                tracker: trackers[idx % trackers.len()].clone(),
                idserver: idservers.get(idx % idservers.len().max(1)).cloned(),
                http: self.site.clone().map(HttpClient::new),
            };
            BenchWorker::new(Arc::clone(&task), self.pool.clone(), peers, rand::random())
        };
        (0..count).map(worker).collect()
    }

    /// Reads back the files that were stored during the measurement. Then removes all files, or
    /// lists them.
    fn finish(
        &self,
        figures: &mut Figures,
        workers: &mut [BenchWorker],
        setup_workers: &mut [BenchWorker],
    ) -> anyhow::Result<()> {
        let mut failures = each(workers, |_, worker| worker.read_back());
        match &self.options.keep {
            Some(list) => {
                let all = setup_workers.iter().chain(workers.iter());
                let files: Vec<Stored> = all.flat_map(BenchWorker::own).cloned().collect();
                save_list(list, &files)?;
            }
            None => {
                failures.extend(each(workers, |_, worker| worker.remove()));
                failures.extend(each(setup_workers, |_, worker| worker.remove()));
            }
        }
        for failure in failures {
            figures.add_errors(&failure.kind, 1, failure.message);
        }
        Ok(())
    }
}

/// Runs `act` for every worker in parallel, and collects the failures.
fn each(
    workers: &mut [BenchWorker],
    act: impl Fn(usize, &mut BenchWorker) -> Vec<Failure> + Sync,
) -> Vec<Failure> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = workers
            .iter_mut()
            .enumerate()
            .map(|(idx, worker)| scope.spawn(move || act(idx, worker)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|result| result.expect("a worker does not panic"))
            .collect()
    })
}
