//! One MariaDB server.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use rustix::process::Signal;
use tempfile::TempDir;
use test_support::process::run;

use crate::process::{Process, free_ports, require, server_pid};
use crate::recipe;

/// Who logs in from anywhere, with all rights.
pub const USER: &str = "tnv";
/// The user's password.
pub const PASSWORD: &str = "test only";

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A server and its folder. Dropping it kills it.
#[derive(Debug)]
pub struct Mariadb {
    /// Where it listens on 127.0.0.1, also after it was started again.
    pub port: u16,
    folder: PathBuf,
    /// Removes the folder at the end.
    _temporary: TempDir,
    args: Vec<OsString>,
    process: Option<Process>,
}

impl Mariadb {
    /// Starts a server with nothing in it and waits until it answers.
    ///
    /// # Panics
    /// It does not start; the message has the end of its log or names what is not installed.
    pub fn start() -> Mariadb {
        Mariadb::start_with(&[])
    }

    /// Starts one with further arguments.
    ///
    /// # Panics
    /// As [`Mariadb::start`].
    pub fn start_with(args: &[&str]) -> Mariadb {
        let mut server = Mariadb::prepare(args.iter().map(Into::into).collect());
        server.run(&[]);
        server.make_user();
        server
    }

    /// A server's folder; nothing runs.
    pub(crate) fn prepare(more: Vec<OsString>) -> Mariadb {
        require(&["mariadbd", "mariadb-install-db"]);
        let temporary = TempDir::with_prefix("tnv-mariadb-").expect("a folder");
        let folder = temporary.path().to_owned();
        let account = recipe::account().expect("an account");
        // A server that starts removes the temporary tables of others from a folder they share.
        let scratch = folder.join("tmp");
        fs::create_dir(&scratch).expect("a folder for temporary tables");
        if let Some((_, uid)) = account {
            for path in [&folder, &scratch] {
                chown(path, Some(uid), None).expect("a folder given to the account");
            }
        }
        let user = account.map(|(name, _)| format!("--user={name}"));
        let [port] = free_ports();
        let data = folder.join("data");
        install(&data, &scratch, user.as_deref());
        let mut args: Vec<OsString> = recipe::SERVER.iter().map(Into::into).collect();
        args.extend(user.map(Into::into));
        args.push(with_path("--datadir=", &data));
        args.push(with_path("--tmpdir=", &scratch));
        args.push(with_path("--socket=", &folder.join("socket")));
        args.push(with_path("--pid-file=", &folder.join("mariadbd.pid")));
        args.push(format!("--port={port}").into());
        args.extend(more);
        Mariadb {
            port,
            folder,
            _temporary: temporary,
            args,
            process: None,
        }
    }

    /// Starts the process and waits until it greets.
    pub(crate) fn run(&mut self, more: &[&str]) {
        self.spawn(more);
        self.wait_until_up();
    }

    pub(crate) fn spawn(&mut self, more: &[&str]) {
        let mut args = self.args.clone();
        args.extend(more.iter().map(Into::into));
        self.process = Some(Process::start(&self.folder, "mariadbd", &args));
    }

    pub(crate) fn wait_until_up(&self) {
        self.wait_for("a greeting", || {
            let stream = TcpStream::connect(("127.0.0.1", self.port));
            stream.is_ok_and(|mut stream| {
                let timeout = Some(Duration::from_secs(5));
                stream.set_read_timeout(timeout).is_ok() && stream.read_exact(&mut [0; 5]).is_ok()
            })
        });
    }

    /// Looks until `is_so`.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_so() {
            let process = self.process.as_ref().expect("a server that was started");
            let is_alive = process.server_is_alive(&self.folder);
            assert!(
                is_alive && Instant::now() < deadline,
                "mariadbd: no {what}, {}:\n{}",
                if is_alive { "but it runs" } else { "it ended" },
                self.log_end()
            );
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Makes [`USER`].
    pub(crate) fn make_user(&self) {
        let mut root = self.root();
        let user = format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'");
        root.query_drop(user).expect("a user");
        root.query_drop(format!("GRANT ALL ON *.* TO {USER}@'%'"))
            .expect("rights");
    }

    fn root(&self) -> Conn {
        self.try_root().expect("a connection of root")
    }

    fn try_root(&self) -> mysql::Result<Conn> {
        let opts = OptsBuilder::new()
            .socket(Some(self.folder.join("socket").to_string_lossy()))
            .user(Some("root"));
        Conn::new(opts)
    }

    /// Runs statements, separated by semicolons, in `database` as another program would.
    ///
    /// # Panics
    /// One fails.
    pub fn execute(&self, database: &str, sql: &str) {
        let mut root = self.root();
        root.query_drop(format!("USE `{database}`"))
            .expect("a database");
        let mut results = root.query_iter(sql).expect("statements");
        while let Some(rows) = results.iter() {
            for row in rows {
                row.expect("a row");
            }
        }
    }

    /// The first column of the rows of a query, as text.
    ///
    /// # Panics
    /// It fails.
    pub fn query(&self, database: &str, sql: &str) -> Vec<String> {
        let mut root = self.root();
        root.query_drop(format!("USE `{database}`"))
            .expect("a database");
        root.query(sql).expect("rows")
    }

    /// What `SHOW STATUS` says of something; nothing while the server does not answer: a node
    /// that joins a cluster closes the connections that it has.
    pub fn status(&self, name: &str) -> Option<String> {
        let sql = format!("SHOW STATUS LIKE '{name}'");
        let row: Option<(String, String)> = self.try_root().ok()?.query_first(sql).ok()?;
        row.map(|(_, value)| value)
    }

    /// Makes an empty database.
    ///
    /// # Panics
    /// It exists.
    pub fn create_database(&self, name: &str) {
        let sql = format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4");
        self.root().query_drop(sql).expect("a new database");
    }

    /// The URL of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// A file with the password, as the servers want it.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn password_file(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join("password");
        if !path.exists() {
            // Written aside: other threads may read it.
            let aside = tempfile::NamedTempFile::new_in(&self.folder).expect("a file");
            fs::write(aside.path(), PASSWORD).expect("a password file");
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(aside.path(), mode).expect("its mode");
            aside.persist(&path).expect("its name");
        }
        path
    }

    /// Its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref()?;
        let pid = server_pid(&self.folder)?;
        u32::try_from(pid.as_raw_nonzero().get()).ok()
    }

    /// Its folder, for files that belong to it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops it in order and waits for the end.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(&self.folder, Signal::TERM);
            let deadline = Instant::now() + START_TIMEOUT;
            while process.server_is_alive(&self.folder) && Instant::now() < deadline {
                thread::park_timeout(Duration::from_millis(10));
            }
            process.end(true);
        }
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(true);
        }
    }

    /// Lets it stand still, and go on.
    pub fn pause(&self, is_paused: bool) {
        let signal = if is_paused {
            Signal::STOP
        } else {
            Signal::CONT
        };
        if let Some(process) = &self.process {
            process.signal(&self.folder, signal);
        }
    }

    /// Starts it again after a stop or a kill and waits until it answers.
    ///
    /// # Panics
    /// As [`Mariadb::start`].
    pub fn start_again(&mut self) {
        self.kill();
        self.run(&[]);
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(false);
        }
    }
}

/// Makes the system's own tables, one server at a time: each takes all processors it can get.
fn install(data: &Path, scratch: &Path, user: Option<&str>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new("mariadb-install-db");
    command
        .args(recipe::INSTALL)
        .arg("--auth-root-authentication-method=normal")
        .args(user)
        .arg(with_path("--datadir=", data))
        .arg(with_path("--tmpdir=", scratch));
    run(&mut command).expect("mariadb-install-db");
}

pub(crate) fn with_path(option: &str, path: &Path) -> OsString {
    let mut arg = OsString::from(option);
    arg.push(path);
    arg
}
