//! A storage of tnv and a C++ storage take uploads into one store path, with numbers of one table.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::iter;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use client::Client;
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder};
use proto::FileKey;
use proto::storage_path::storage_path;
use test_cluster::{Layout, Mysql};
use test_mariadb::{Mariadb, PASSWORD};
use test_support::wait_until;

use crate::support::{Fixture, new_key, wait_for};

/// The configured store path of both storages, which is also the key of the numbers.
const STORE: &str = "store/group001";
/// The uploads end when each side has this many files, or after [`TIME`].
const ENOUGH: usize = 1_000;
const TIME: Duration = Duration::from_secs(10);
/// Longest time between the two statements of a C++ idserver.
const BETWEEN: Duration = Duration::from_millis(500);

const TABLE: &str = "CREATE TABLE t_id_gen (id varchar(64) primary key, id_value bigint,
    create_time timestamp default current_timestamp,
    update_time timestamp default current_timestamp on update current_timestamp)
    ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
    INSERT INTO t_id_gen SET id='store/group001', id_value=300";
const SELECT: &str = "SELECT id_value FROM t_id_gen WHERE id = 'store/group001'";
const UPDATE: &str = "UPDATE t_id_gen SET id_value = id_value + 100 WHERE id = 'store/group001'";
const PATHS: &str = "SELECT file_path FROM t_file_01 UNION ALL SELECT file_path FROM t_file_02 \
    UNION ALL SELECT file_path FROM t_file_03";

type Ours = (FileKey, Vec<u8>);
type Theirs = (String, Vec<u8>);

/// A C++ idserver: it selects the row without a lock and then adds to it.
struct CppIdserver<'a> {
    server: &'a Mariadb,
    conn: Conn,
    left: Range<u64>,
    n_steps: usize,
    /// Steps during which the idserver of tnv made a step between the two statements.
    n_overtaken: usize,
}

impl CppIdserver<'_> {
    fn connect(server: &Mariadb) -> CppIdserver<'_> {
        let opts = Opts::from_url(&server.url("mixed_idserver")).unwrap();
        let opts = OptsBuilder::from_opts(opts)
            .prefer_socket(false)
            .pass(Some(PASSWORD))
            .init(vec!["SET autocommit = 0"]);
        CppIdserver {
            server,
            conn: Conn::new(opts).unwrap(),
            left: 0..0,
            n_steps: 0,
            n_overtaken: 0,
        }
    }

    /// None if the server refuses the step because of its isolation: that upload fails.
    fn next(&mut self) -> Option<u64> {
        if self.left.is_empty() {
            match self.step() {
                Ok(first) => self.left = first..first + 100,
                Err(mysql::Error::MySqlError(_)) => self.conn.query_drop("ROLLBACK").unwrap(),
                Err(e) => panic!("{e}"),
            }
        }
        self.left.next()
    }

    fn step(&mut self) -> mysql::Result<u64> {
        let first: u64 = self.conn.query_first(SELECT)?.unwrap();
        self.n_steps += 1;
        // Every other step is slow, so that the idserver of tnv overtakes it.
        if self.n_steps.is_multiple_of(2) {
            let row = || self.server.query("mixed_idserver", SELECT);
            let stepped = || row() != [first.to_string()];
            let overtaken = wait_until("a step of ours", BETWEEN, stepped).is_ok();
            self.n_overtaken += usize::from(overtaken);
        }
        self.conn.query_drop(UPDATE)?;
        self.conn.query_drop("COMMIT")?;
        Ok(first)
    }
}

/// Different contents for one side, until both sides have enough.
fn contents(given: &[AtomicUsize; 2], side: usize, end: Instant) -> impl Iterator<Item = Vec<u8>> {
    iter::from_fn(move || {
        let is_short = |n: &AtomicUsize| n.load(Ordering::Relaxed) < ENOUGH;
        (given.iter().any(is_short) && Instant::now() < end).then(|| {
            let n = given[side].fetch_add(1, Ordering::Relaxed);
            format!("{side} {n};").repeat(n % 50 + 1).into_bytes()
        })
    })
}

/// Uploads to the storage of tnv. Returns the stored file, or the file that is in the way. On a loaded
/// machine the storage may be offline for a moment.
fn to_ours(client: &Client, content: Vec<u8>) -> Result<Ours, String> {
    let stored = wait_for("a storage that takes uploads", || {
        let (key, mut source) = (new_key(), Cursor::new(&content));
        let uploaded = client.upload(&key, &mut source, content.len() as u64, &mut |_| ());
        match uploaded.map_err(|e| e.chain()) {
            Err(e) if !e.contains("File exists") => Err(e),
            stored => Ok(stored.map(|_| key)),
        }
    });
    stored.map(|key| (key, content))
}

/// Uploads to the folder of the C++ storage. Returns path and content.
fn to_theirs(ids: &mut CppIdserver<'_>, folder: &Path, content: Vec<u8>) -> Option<Theirs> {
    let number = ids.next()?;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let path = storage_path(STORE, number, now.as_secs());
    let at = folder.join(&path);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    // O_CREAT | O_TRUNC, like the C++ storage: an existing file is overwritten.
    File::create(&at).unwrap().write_all(&content).unwrap();
    Some((path, content))
}

/// The number of a path. Numbers repeat only after 2^36.
fn number(path: &str) -> u64 {
    let (folders, name) = path[STORE.len() + 1..].rsplit_once('/').unwrap();
    let digits = folders.split('/').chain(name.split('_').nth(1));
    let digits = digits.map(|digit| u64::from_str_radix(digit, 16).unwrap());
    digits.fold(0, |n, digit| n << 9 | digit)
}

fn start(server: &Mariadb) -> Fixture {
    for role in ["tracker", "idserver", "storage"] {
        server.create_database(&format!("mixed_{role}"));
    }
    server.execute("mixed_idserver", TABLE);
    let mut layout = Layout::small(1);
    layout.settings.mysql = Some(Mysql {
        url: server.url("mixed"),
        password_file: server.password_file(),
    });
    Fixture::start(&layout)
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn storages_of_both_kinds_double_no_number_and_overwrite_no_file() {
    let server = test_mariadb::shared();
    let fixture = start(server);
    let (client, folder) = (fixture.client(), &fixture.cluster.plan().folder);
    let mut cpp = CppIdserver::connect(server);
    let (given, end) = ([0, 0].map(AtomicUsize::new), Instant::now() + TIME);
    let upload = |content| to_ours(&client, content);
    let of_one = || contents(&given, 0, end).map(upload).collect::<Vec<_>>();
    let (ours, theirs) = thread::scope(|scope| {
        let clients = [(); 4].map(|()| scope.spawn(of_one));
        let upload = |content| to_theirs(&mut cpp, folder, content);
        let theirs: Vec<Theirs> = contents(&given, 1, end).filter_map(upload).collect();
        let ours = clients.map(|client| client.join().unwrap()).into_iter();
        (ours.flatten().collect::<Vec<_>>(), theirs)
    });

    let (ours, refused): (Vec<_>, Vec<_>) = ours.into_iter().partition(Result::is_ok);
    let ours: Vec<Ours> = ours.into_iter().flatten().collect();
    let mut paths = server.query("mixed_storage", PATHS);
    assert_eq!(paths.len(), ours.len(), "a row for each file of ours");
    paths.extend(theirs.iter().map(|(path, _)| path.clone()));
    let numbers: HashSet<u64> = paths.iter().map(|path| number(path)).collect();
    let distinct: HashSet<&String> = paths.iter().collect();
    let ours_kept = ours.iter().filter(|(key, content)| {
        let mut read = Vec::new();
        let opened = client.download(key);
        opened.is_ok_and(|mut file| file.read_to_end(&mut read).is_ok()) && read == *content
    });
    let is_kept = |(path, content): &&Theirs| fs::read(folder.join(path)).unwrap() == *content;
    let n_kept = ours_kept.count() + theirs.iter().filter(is_kept).count();
    let (found, all) = ([numbers.len(), distinct.len(), n_kept], [paths.len(); 3]);
    let why = format!("numbers, paths, contents kept; {:?}", refused.first());
    assert_eq!((found, refused.len()), (all, 0), "{why}");
    let (files, unfinished) = fixture.stored();
    assert_eq!((files.len(), unfinished.len()), (paths.len(), 0));
    let counts = (ours.len(), theirs.len(), cpp.n_overtaken);
    let enough = ours.len().min(theirs.len()) >= 300 && cpp.n_overtaken > 0;
    assert!(enough, "{counts:?}: ours, theirs, steps overtaken");
}
