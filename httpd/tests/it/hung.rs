//! A group whose servers hang, beside one that is well.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use base::units::Period;
use daemon::status::StatusConfig;
use httpd::{Config, Httpd, Settings};
use net::wire::{Caller, Reply, Service};
use net::{Server, ServerConfig};
use proto::storage::{self, ByteRange, FileStat, StorageRequest, encode_file_size};
use proto::tracker::{SaddrsReply, TrackerRequest};
use proto::{ErrorCode, Fault, HEAD_LEN, Head, Request};
use test_support::http::{Browser, browse};

use super::support::{MODIFIED, PATIENCE, Storage, checksum_of, content, serve};

const WORKERS: u32 = 8;
/// Of eight workers, what one group may take.
const SHARE: usize = 4;
const CLIENTS: usize = 64;
/// Longer than any test takes: what is waited for ends with the hanging only.
const NEVER: Period = Period::from_secs(300);

/// Commands that are not answered while it hangs.
type Hangs = fn(&StorageRequest) -> bool;

/// A storage that hangs until it is told not to.
struct Hanging {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    file: Vec<u8>,
    /// Does not know READ and STAT.
    cpp: bool,
    hangs: Hangs,
    hung: Mutex<Hung>,
    changed: Condvar,
}

#[derive(Default)]
struct Hung {
    hangs: bool,
    /// Questions that came and were not answered.
    open: usize,
}

impl Hanging {
    fn start(file: &[u8], cpp: bool, hangs: Hangs) -> Hanging {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            file: file.to_vec(),
            cpp,
            hangs,
            hung: Mutex::default(),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || shared.serve(stream));
            }
        });
        Hanging { addr, state }
    }

    fn hang(&self, hangs: bool) {
        self.state.hung.lock().unwrap().hangs = hangs;
        self.state.changed.notify_all();
    }

    fn wait_asked(&self, n: usize) {
        let hung = self.state.hung.lock().unwrap();
        let enough = |hung: &mut Hung| hung.open < n;
        let waited = self
            .state
            .changed
            .wait_timeout_while(hung, PATIENCE, enough);
        let (hung, _) = waited.unwrap();
        assert!(hung.open >= n, "asked {} times, not {n}", hung.open);
    }
}

impl State {
    /// Until the peer goes away.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut head = [0; HEAD_LEN];
            stream.read_exact(&mut head).ok()?;
            let head = Head::decode(&head);
            let mut body = vec![0; head.body_len as usize];
            stream.read_exact(&mut body).ok()?;
            let request = StorageRequest::decode(&head, &body).unwrap();
            if (self.hangs)(&request) {
                self.wait();
            }
            let answer = self.answer(&request);
            stream.write_all(&answer).ok()?;
            if self.cpp && matches!(head.command, 74 | 75) {
                return None;
            }
        }
    }

    fn wait(&self) {
        let mut hung = self.hung.lock().unwrap();
        hung.open += 1;
        self.changed.notify_all();
        let mut hung = self.changed.wait_while(hung, |hung| hung.hangs).unwrap();
        hung.open -= 1;
    }

    fn answer(&self, request: &StorageRequest) -> Vec<u8> {
        let size = self.file.len() as u64;
        let stat = FileStat {
            size,
            modified: MODIFIED,
            checksum: Some(checksum_of(&self.file)),
            expires: false,
        };
        let part = |offset: u64, len: u64| &self.file[offset as usize..(offset + len) as usize];
        let body = match request {
            StorageRequest::Read(_) | StorageRequest::Stat(_) if self.cpp => {
                let fault = Fault::new(ErrorCode::Unknown, "unknown command");
                return fault.encode(storage::REPLY, "cpp");
            }
            StorageRequest::Read(read) => {
                let ByteRange { offset, len } = read.range.within(size);
                [&stat.encode()[..], part(offset, len)].concat()
            }
            StorageRequest::Stat(_) => stat.encode(),
            StorageRequest::FileSize(_) => encode_file_size(size),
            StorageRequest::Download(download) => part(download.offset, download.size).to_vec(),
            other => panic!("{other:?}"),
        };
        let head = Head::reply(storage::REPLY, body.len() as u64).encode();
        [&head[..], &body].concat()
    }
}

/// Knows where the files of two users are, and may hang for one of them.
struct Tracker {
    hung: SocketAddr,
    well: SocketAddr,
    hangs: Arc<Mutex<()>>,
}

impl Service for Tracker {
    type Request = TrackerRequest;
    type Session = ();

    fn call(&self, request: TrackerRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let TrackerRequest::Lookup(saddrs) = request else {
            return Err(Fault::new(ErrorCode::Unknown, "unknown command"));
        };
        let (group, addr) = match saddrs.user.as_str() {
            "well" => ("group1", self.well),
            _ => {
                drop(self.hangs.lock());
                ("group2", self.hung)
            }
        };
        let reply = SaddrsReply {
            group: group.parse().unwrap(),
            addresses: vec![addr.into()],
        };
        Ok(Reply::bytes(reply.encode()))
    }
}

/// An httpd in front of a group that hangs and one that is well.
struct Cluster {
    httpd: Httpd,
    tracker_hangs: Arc<Mutex<()>>,
    _servers: [Server; 2],
}

impl Cluster {
    fn with(hung: SocketAddr) -> Cluster {
        let storage = serve(Storage {
            files: [("x", content(1000))].into(),
            ..Storage::default()
        });
        let tracker_hangs = Arc::default();
        let tracker = serve(Tracker {
            hung,
            well: storage.addr(),
            hangs: Arc::clone(&tracker_hangs),
        });
        let httpd = Httpd::start(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            status: StatusConfig::at(([127, 0, 0, 1], 0).into()),
            server: ServerConfig {
                workers: WORKERS,
                ..ServerConfig::default()
            },
            ..Config::of(Settings {
                trackers: vec![tracker.addr().into()],
                connect_timeout: NEVER,
                storage_timeout: NEVER,
                storage_cache: NEVER,
                ..Settings::default()
            })
        });
        let cluster = Cluster {
            httpd: httpd.unwrap(),
            tracker_hangs,
            _servers: [tracker, storage],
        };
        cluster.look_at_other_group();
        cluster
    }

    /// It is answered, whatever hangs.
    fn look_at_other_group(&self) {
        let answer = browse(self.httpd.addr()).ask("GET", "/files/tnvideo/well/x", &[]);
        assert!(answer.status == 200 && answer.body == content(1000));
    }

    fn ask_many(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<Browser> {
        let path = format!("/files/tnvideo/hung/{path}");
        let ask = |_| {
            let mut browser = browse(self.httpd.addr());
            browser.send(method, &path, fields);
            browser
        };
        (0..CLIENTS).map(ask).collect()
    }

    /// Waits until as many requests are at workers.
    fn wait_busy(&self, n: usize) {
        let status = self.httpd.status_addr().unwrap();
        let line = format!("tnv_workers_busy{{lane=\"slow\"}} {n}\n");
        test_support::wait_for(&line, PATIENCE, || {
            let page = browse(status).ask("GET", "/metrics", &[]).body;
            let page = String::from_utf8(page).unwrap();
            page.contains(&line).then_some(()).ok_or(page)
        })
        .unwrap();
    }
}

#[test]
fn no_question_to_a_silent_storage_holds_a_worker() {
    let kinds: [(&str, &[(&str, &str)]); 5] = [
        ("HEAD", &[]),
        ("GET", &[]),
        ("GET", &[("If-None-Match", "\"a\"")]),
        (
            "GET",
            &[("If-Modified-Since", "Sun, 13 Sep 2020 12:26:39 GMT")],
        ),
        ("GET", &[("Range", "bytes=0-1,4-5")]),
    ];
    for (method, fields) in kinds {
        let storage = Hanging::start(&content(1000), false, |_| true);
        let cluster = Cluster::with(storage.addr);
        storage.hang(true);
        let browsers = cluster.ask_many(method, "x", fields);
        storage.wait_asked(CLIENTS);
        cluster.look_at_other_group();
        storage.hang(false);
        for mut browser in browsers {
            let status = browser.answer(method).status;
            assert!(matches!(status, 200 | 206), "{method} {fields:?}: {status}");
        }
    }
}

#[test]
fn a_condition_that_fails_asks_for_no_content() {
    let storage = Hanging::start(&content(1_000_000), false, |_| false);
    let cluster = Cluster::with(storage.addr);
    let path = "/files/tnvideo/hung/x";
    let mut browser = browse(cluster.httpd.addr());
    let tag = browser
        .ask("HEAD", path, &[])
        .field("etag")
        .unwrap()
        .to_owned();
    let known = browser.ask("GET", path, &[("If-None-Match", &tag)]);
    assert_eq!(known.status, 304);
    let renewed = browser.ask("GET", path, &[("If-None-Match", "\"other\"")]);
    assert!(renewed.status == 200 && renewed.body == content(1_000_000));
    let part = browser.ask(
        "GET",
        path,
        &[("Range", "bytes=700000-700009"), ("If-Range", &tag)],
    );
    assert!(part.status == 206 && part.body == content(1_000_000)[700_000..=700_009]);
}

#[test]
fn a_storage_of_the_cpp_system_holds_the_share_of_its_group() {
    let hangs: Hangs = |request| matches!(request, StorageRequest::FileSize(_));
    let storage = Hanging::start(&content(1000), true, hangs);
    let cluster = Cluster::with(storage.addr);
    // From now on it is known what it does not know.
    let mut browser = browse(cluster.httpd.addr());
    assert_eq!(browser.ask("GET", "/files/tnvideo/hung/x", &[]).status, 200);
    storage.hang(true);
    let browsers = cluster.ask_many("HEAD", "x", &[]);
    storage.wait_asked(SHARE);
    cluster.look_at_other_group();
    storage.hang(false);
    for mut browser in browsers {
        assert!(matches!(browser.answer("HEAD").status, 200 | 503));
    }
}

#[test]
fn a_look_for_the_type_holds_the_share_of_its_group() {
    let hangs: Hangs =
        |request| matches!(request, StorageRequest::Read(read) if read.range.offset == 0);
    // The type of the other group's content is known.
    let storage = Hanging::start(&content(999), false, hangs);
    let cluster = Cluster::with(storage.addr);
    storage.hang(true);
    // The content of this answer does not tell the type.
    let browsers = cluster.ask_many("GET", "x", &[("Range", "bytes=600-")]);
    storage.wait_asked(SHARE);
    cluster.look_at_other_group();
    storage.hang(false);
    for mut browser in browsers {
        assert!(matches!(browser.answer("GET").status, 206 | 503));
    }
}

#[test]
fn later_pieces_hold_the_share_of_their_group_and_are_waited_for() {
    let hangs: Hangs =
        |request| matches!(request, StorageRequest::Read(read) if read.range.offset > 0);
    let file = content(1_000_000);
    let storage = Hanging::start(&file, false, hangs);
    let cluster = Cluster::with(storage.addr);
    storage.hang(true);
    let mut browsers = cluster.ask_many("GET", "x.bin", &[]);
    // Each gets the first piece.
    let answers: Vec<_> = browsers
        .iter_mut()
        .map(|browser| browser.begin_answer())
        .collect();
    for (browser, answer) in browsers.iter_mut().zip(&answers) {
        assert_eq!(answer.status, 200);
        assert!(browser.read(200_000) == file[..200_000]);
    }
    storage.wait_asked(SHARE);
    cluster.look_at_other_group();
    storage.hang(false);
    for mut browser in browsers {
        assert!(browser.read(800_000) == file[200_000..]);
    }
}

#[test]
fn trackers_that_hang_leave_workers_for_those_whose_storages_are_known() {
    let storage = Hanging::start(&content(1000), false, |_| false);
    let cluster = Cluster::with(storage.addr);
    let hangs = cluster.tracker_hangs.lock().unwrap();
    let browsers = cluster.ask_many("HEAD", "x", &[]);
    cluster.wait_busy(SHARE);
    cluster.look_at_other_group();
    drop(hangs);
    for mut browser in browsers {
        assert!(matches!(browser.answer("HEAD").status, 200 | 503));
    }
}

#[test]
fn a_host_that_cannot_be_connected_to_holds_the_share_of_its_group() {
    // Once its queue is full the system drops what else wants to connect, like a host that is gone.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(300)).ok();
    let queue: Vec<TcpStream> = std::iter::from_fn(connect).collect();
    let cluster = Cluster::with(addr);
    let browsers = cluster.ask_many("GET", "x", &[]);
    cluster.wait_busy(SHARE);
    cluster.look_at_other_group();
    drop((browsers, queue));
}
