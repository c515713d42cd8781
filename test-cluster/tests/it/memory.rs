//! Memory of storage and httpd while many clients move large files at once.

use std::thread;
use std::time::Duration;

use bench::Content;
use client::{Client, ClientConfig};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use proto::FileKey;
use test_cluster::{Role, proc};
use test_support::http;

use crate::support::{Fixture, MIB, new_key};

const N_CLIENTS: u64 = 32;
const SIZE: u64 = 64 * MIB;
/// Limit on the memory of a storage or an httpd at any time.
const RSS_MAX_KIB: u64 = 64 << 10;
/// Time between two samples.
const SAMPLE: Duration = Duration::from_millis(200);
/// Longest wait for a server that serves all clients at once.
const TIMEOUT: Duration = Duration::from_secs(120);

type Transfer = fn(&Clients, &FileKey, &Content);

/// One client for each file.
struct Clients {
    client: Client,
    httpd: String,
    files: Vec<(FileKey, Content)>,
}

impl Clients {
    fn new(fixture: &Fixture) -> Clients {
        let trackers = fixture.cluster.addresses(Role::Tracker);
        let mut config = ClientConfig::new(trackers.into_iter().map(Into::into).collect());
        config.connection.io_timeout = TIMEOUT;
        let file = |seed| (new_key(), Content::new(seed, SIZE));
        Clients {
            client: Client::new(config),
            httpd: fixture.cluster.addresses(Role::Httpd)[0].to_string(),
            files: (0..N_CLIENTS).map(file).collect(),
        }
    }

    /// Transfers all files at once. Returns the largest memory of each process meanwhile, in KiB.
    fn transfer(&self, pids: [u32; 2], transfer: Transfer) -> [u64; 2] {
        let (done, until) = bounded(0);
        thread::scope(|scope| {
            let sampler = scope.spawn(move || sample(pids, &until));
            let files = self.files.iter();
            let clients = files.map(|(key, content)| scope.spawn(|| transfer(self, key, content)));
            let clients: Vec<_> = clients.collect();
            let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            drop(done);
            let seen = sampler.join().unwrap();
            assert!(results.iter().all(Result::is_ok), "a transfer failed");
            seen
        })
    }

    fn upload(&self, key: &FileKey, content: &Content) {
        let mut source = content.clone();
        let upload = self.client.upload(key, &mut source, SIZE, &mut |_| ());
        upload.unwrap();
    }

    fn download(&self, key: &FileKey, content: &Content) {
        let mut stored = self.client.download(key).unwrap();
        content.clone().compare(&mut stored).unwrap();
    }

    fn download_with_http(&self, key: &FileKey, content: &Content) {
        let url = format!("http://{}/files/{}", self.httpd, key.file);
        let (answer, mut body) = http::open(&url, None, TIMEOUT).unwrap();
        assert_eq!(answer.status, 200, "{url}");
        content.clone().compare(&mut body).unwrap();
    }
}

/// The largest memory of each process until the other end of `until` is dropped.
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

#[test]
fn servers_stay_small_while_32_clients_move_files() {
    let mut fixture = Fixture::small(1);
    let pids = [Role::Storage, Role::Httpd].map(|role| fixture.cluster.pid_of(role).unwrap());
    let clients = Clients::new(&fixture);
    let transfers: [(&str, Transfer); 3] = [
        ("upload", Clients::upload),
        ("download", Clients::download),
        ("download through httpd", Clients::download_with_http),
    ];
    for (name, transfer) in transfers {
        let [storage, httpd] = clients.transfer(pids, transfer);
        println!("{name}: storage {storage} KiB, httpd {httpd} KiB");
    }
    for (name, pid) in ["storage", "httpd"].iter().zip(pids) {
        let most = proc::figures(pid).unwrap().rss_max_kib;
        assert!(most <= RSS_MAX_KIB, "{name} took {most} KiB");
    }
}
