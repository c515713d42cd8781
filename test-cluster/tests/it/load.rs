//! Load while parts of a cluster fail: acknowledged files stay, and the waits of the clients are
//! measured.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bench::Content;
use client::{Client, ClientConfig, Error, ErrorKind, new_file_id};
use proto::{FileKey, UserId};
use test_cluster::APP;

use crate::support::wait_for;

/// Workers of each kind. Each uploads for another user.
const WORKERS: usize = 4;
/// Files of each user for repeated downloads.
const WARM: usize = 3;
/// Pause between a refusal and the next try.
const PAUSE: Duration = Duration::from_millis(50);

/// A file and its content.
#[derive(Debug, Clone)]
pub struct File {
    pub key: FileKey,
    pub content: Content,
}

/// The shared state of the workers.
pub struct Load {
    trackers: Vec<SocketAddr>,
    stop: AtomicBool,
    uploads: [Meter; WORKERS],
    downloads: [Meter; WORKERS],
    stored: Mutex<Vec<File>>,
    /// Uploads without acknowledgement.
    refused: Mutex<Vec<File>>,
}

/// The result of one worker.
#[derive(Default)]
struct Meter {
    done: AtomicU64,
    failed: AtomicU64,
    longest_gap_ms: AtomicU64,
}

impl Load {
    pub fn new(trackers: Vec<SocketAddr>) -> Load {
        Load {
            trackers,
            stop: AtomicBool::new(false),
            uploads: Default::default(),
            downloads: Default::default(),
            stored: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    pub fn client(&self) -> Client {
        let trackers = self.trackers.iter().map(|&addr| addr.into());
        Client::new(ClientConfig::new(trackers.collect()))
    }

    /// Runs `work` beside the clients, which stop after it.
    pub fn run(&self, work: impl FnOnce(&Load)) {
        /// Stops the workers, also after a panic: the scope waits for them.
        struct AtEnd<'a>(&'a AtomicBool);
        impl Drop for AtEnd<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let warm: Vec<Vec<File>> = (0..WORKERS).map(|worker| self.warm(worker)).collect();
        thread::scope(|scope| {
            let _end = AtEnd(&self.stop);
            for (worker, files) in warm.iter().enumerate() {
                scope.spawn(move || self.upload_on(worker));
                scope.spawn(move || self.download_on(worker, files));
            }
            work(self);
        });
    }

    /// Runs `act`, waits until every client has succeeded again, and prints the longest wait.
    pub fn phase(&self, what: &str, happen: impl FnOnce()) {
        self.wait_for_all();
        for meter in self.all() {
            meter.longest_gap_ms.store(0, Ordering::SeqCst);
        }
        let failed = [&self.uploads, &self.downloads].map(failures);
        happen();
        self.wait_for_all();
        let failed_now = [&self.uploads, &self.downloads].map(failures);
        println!(
            "{what}: uploads stood still for {} ms at most, {} failed; downloads {} ms, {} failed",
            longest(&self.uploads),
            failed_now[0] - failed[0],
            longest(&self.downloads),
            failed_now[1] - failed[1],
        );
    }

    /// Waits until every client has transferred several more files.
    pub fn wait_for_all(&self) {
        wait_for_more(&self.all(), 3);
    }

    /// Waits until every client has downloaded several more files.
    pub fn wait_for_downloads(&self) {
        wait_for_more(&self.downloads.iter().collect::<Vec<_>>(), 3);
    }

    /// Waits until an upload fails.
    pub fn wait_for_refusal(&self) {
        let before = failures(&self.uploads);
        wait_for("an upload to be refused", || {
            let now = failures(&self.uploads);
            (now > before)
                .then_some(())
                .ok_or_else(|| "none".to_owned())
        });
    }

    /// Uploads a file and calls `on_progress`.
    pub fn upload(&self, size: u64, on_progress: &mut dyn FnMut(u64)) {
        let file = new_file(WORKERS, u64::MAX, size);
        let mut source = file.content.clone();
        let stored = self
            .client()
            .upload(&file.key, &mut source, size, on_progress);
        stored.unwrap();
        push(&self.stored, file);
    }

    /// Checks that all acknowledged files are there. Returns the number of files, including those without
    /// a reply, and the number of uploads without acknowledgement.
    pub fn check(&self) -> (usize, usize) {
        let client = self.client();
        let stored = self.stored.lock().unwrap();
        for file in &*stored {
            let mut body = client.download(&file.key).unwrap();
            file.content.clone().compare(&mut body).unwrap();
        }
        let refused = self.refused.lock().unwrap();
        let is_there = |file: &&File| match client.stat(&file.key) {
            Ok(_) => true,
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => panic!("{}: {e}", file.key),
        };
        let n_more = refused.iter().filter(is_there).count();
        println!(
            "{} files acknowledged, none lost; of {} refused tries {n_more} were stored",
            stored.len(),
            refused.len()
        );
        (stored.len() + n_more, refused.len())
    }

    fn warm(&self, worker: usize) -> Vec<File> {
        let client = self.client();
        let files = (0..WARM).map(|idx| {
            let file = new_file(worker, idx as u64, 100_000);
            let mut source = file.content.clone();
            client
                .upload(&file.key, &mut source, 100_000, &mut |_| ())
                .unwrap();
            push(&self.stored, file.clone());
            file
        });
        files.collect()
    }

    fn upload_on(&self, worker: usize) {
        let client = self.client();
        let mut idx = WARM as u64;
        self.repeat(&self.uploads[worker], || {
            idx += 1;
            let size = 1 + (idx * 7919) % 200_000;
            let file = new_file(worker, idx, size);
            let mut source = file.content.clone();
            let result = client.upload(&file.key, &mut source, size, &mut |_| ());
            let list = match result {
                Ok(_) => &self.stored,
                Err(_) => &self.refused,
            };
            push(list, file);
            result.map(drop)
        });
    }

    fn download_on(&self, worker: usize, files: &[File]) {
        let client = self.client();
        let mut round = files.iter().cycle();
        self.repeat(&self.downloads[worker], || {
            let file = round.next().unwrap();
            let mut body = client.download(&file.key)?;
            let compared = file.content.clone().compare(&mut body);
            compared.map_err(Error::Source)
        });
    }

    fn repeat(&self, meter: &Meter, mut work: impl FnMut() -> Result<(), Error>) {
        let mut last = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            match work() {
                Ok(()) => {
                    let gap = last.elapsed().as_millis() as u64;
                    meter.longest_gap_ms.fetch_max(gap, Ordering::SeqCst);
                    meter.done.fetch_add(1, Ordering::SeqCst);
                    last = Instant::now();
                }
                Err(_) => {
                    meter.failed.fetch_add(1, Ordering::SeqCst);
                    thread::park_timeout(PAUSE);
                }
            }
        }
    }

    fn all(&self) -> Vec<&Meter> {
        self.uploads.iter().chain(&self.downloads).collect()
    }
}

fn wait_for_more(meters: &[&Meter], more: u64) {
    let done = |meter: &&Meter| meter.done.load(Ordering::SeqCst);
    let before: Vec<u64> = meters.iter().map(done).collect();
    wait_for("every client to get its way", || {
        let now: Vec<u64> = meters.iter().map(done).collect();
        let is_enough = now.iter().zip(&before).all(|(now, b)| *now >= b + more);
        is_enough
            .then_some(())
            .ok_or_else(|| format!("{now:?}, was {before:?}"))
    });
}

fn failures(meters: &[Meter; WORKERS]) -> u64 {
    meters.iter().map(|m| m.failed.load(Ordering::SeqCst)).sum()
}

fn longest(meters: &[Meter; WORKERS]) -> u64 {
    let gaps = meters
        .iter()
        .map(|m| m.longest_gap_ms.load(Ordering::SeqCst));
    gaps.max().unwrap_or_default()
}

fn push(list: &Mutex<Vec<File>>, file: File) {
    list.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(file);
}

fn new_file(worker: usize, idx: u64, size: u64) -> File {
    let user = UserId::new(format!("load{worker}")).unwrap();
    File {
        key: FileKey {
            app: APP.parse().unwrap(),
            file: new_file_id(&user),
            user,
        },
        content: Content::new(idx ^ ((worker as u64) << 32), size),
    }
}
