//! One MariaDB server.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use rustix::process::Signal;
use tempfile::TempDir;
use test_support::process::{OwnedProcess, guard_folder, run};
use test_support::{try_wait_for, until};

use crate::machine::{free_ports, require};
use crate::recipe;

/// The account with all rights, from every address.
pub const USER: &str = "tnv";
/// The password of [`USER`].
pub const PASSWORD: &str = "test only";

/// Longest wait for a start or a stop.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A server and its folder. Dropping it kills the server.
#[derive(Debug)]
pub struct Mariadb {
    /// The port on 127.0.0.1, also after a restart.
    pub port: u16,
    args: Vec<OsString>,
    /// Ends before the folder is removed: fields are dropped in this order.
    process: Option<OwnedProcess>,
    folder: TempDir,
}

impl Mariadb {
    /// Starts an empty server and waits until it answers.
    ///
    /// # Panics
    /// It does not start, or a program is missing. The message has the end of the log.
    pub fn start() -> Mariadb {
        Mariadb::start_with(&[])
    }

    /// Starts a server with more arguments.
    ///
    /// # Panics
    /// As [`Mariadb::start`].
    pub fn start_with(args: &[&str]) -> Mariadb {
        let mut server = Mariadb::prepare(args.iter().map(Into::into).collect());
        server.run(&[]);
        server.make_user();
        server
    }

    /// Creates the folder of a server that does not run yet.
    pub(crate) fn prepare(more: Vec<OsString>) -> Mariadb {
        require(&["mariadbd", "mariadb-install-db"]);
        let temporary = TempDir::with_prefix("tnv-mariadb-").expect("a folder");
        guard_folder(temporary.path()).expect("a guard");
        let folder = temporary.path();
        let account = recipe::account().expect("an account");
        // A starting server removes the temporary tables of other servers from a shared folder.
        let scratch = folder.join("tmp");
        fs::create_dir(&scratch).expect("a folder for temporary tables");
        if let Some((_, uid)) = account {
            for path in [folder, &scratch] {
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
            args,
            process: None,
            folder: temporary,
        }
    }

    /// Starts the process and waits for its greeting.
    pub(crate) fn run(&mut self, more: &[&str]) {
        let log = self.folder().join("log");
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("a log file");
        let mut command = Command::new("mariadbd");
        command
            .args(&self.args)
            .args(more)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("another handle of the log"))
            .stderr(log);
        self.process = Some(OwnedProcess::spawn(&mut command).expect("mariadbd"));
        self.wait_for("a greeting", || {
            let stream = TcpStream::connect(("127.0.0.1", self.port));
            stream.is_ok_and(|mut stream| {
                let timeout = Some(Duration::from_secs(5));
                stream.set_read_timeout(timeout).is_ok() && stream.read_exact(&mut [0; 5]).is_ok()
            })
        });
    }

    /// Waits until `holds`. Panics with the end of the log if the server ends or takes too long.
    pub(crate) fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let waited = try_wait_for(what, TIMEOUT, || {
            let is_alive = self
                .process
                .as_ref()
                .is_some_and(|process| process.is_alive());
            ensure!(is_alive, "mariadbd ended before {what}");
            Ok(if holds() {
                Ok(())
            } else {
                Err("mariadbd run".to_owned())
            })
        });
        if let Err(error) = waited {
            panic!("{error:#}:\n{}", self.log_end());
        }
    }

    /// Creates [`USER`].
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
            .socket(Some(self.folder().join("socket").to_string_lossy()))
            .user(Some("root"));
        Conn::new(opts)
    }

    /// Executes statements in `database`, separated by semicolons.
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

    /// A value of `SHOW STATUS`. None while the server does not answer: a node that joins a cluster
    /// closes its connections.
    pub fn status(&self, name: &str) -> Option<String> {
        let sql = format!("SHOW STATUS LIKE '{name}'");
        let row: Option<(String, String)> = self.try_root().ok()?.query_first(sql).ok()?;
        row.map(|(_, value)| value)
    }

    /// Creates an empty database.
    ///
    /// # Panics
    /// It exists.
    pub fn create_database(&self, name: &str) {
        let sql = format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4");
        self.root().query_drop(sql).expect("a new database");
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// A file with the password, for `password_file` of a daemon.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn password_file(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder().join("password");
        if !path.exists() {
            // A new file with another name: other threads may read it at once.
            let aside = tempfile::NamedTempFile::new_in(self.folder()).expect("a file");
            fs::write(aside.path(), PASSWORD).expect("a password file");
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(aside.path(), mode).expect("its mode");
            aside.persist(&path).expect("its name");
        }
        path
    }

    /// The process id, if the server runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid())
    }

    /// The folder, for files that belong to the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the server in order and waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM).expect("a signal");
            let exit = process.wait(TIMEOUT).expect("a wait");
            assert!(
                exit.is_some(),
                "mariadbd does not stop:\n{}",
                self.log_end()
            );
        }
    }

    /// Kills the server, as a power cut does.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Stops the process without its knowledge (SIGSTOP), or lets it continue. A statement that is sent after a
    /// pause began arrives when the process continues.
    ///
    /// # Panics
    /// The process does not stop.
    pub fn pause(&self, is_paused: bool) {
        let signal = if is_paused {
            Signal::STOP
        } else {
            Signal::CONT
        };
        if let Some(process) = &self.process {
            process.signal(signal).expect("a signal");
            if is_paused {
                // The signal may find threads that still work for a moment.
                until("all threads are stopped", || is_stopped(process.pid()));
            }
        }
    }

    /// Kills the server if it runs, starts it and waits until it answers.
    ///
    /// # Panics
    /// As [`Mariadb::start`].
    pub fn start_again(&mut self) {
        self.kill();
        self.run(&[]);
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Creates the system tables, for one server at a time, because the program uses all processors.
fn install(data: &Path, scratch: &Path, user: Option<&str>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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

/// True if all threads of the process are stopped (proc(5), state `T`).
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name of the thread, in parentheses, may contain anything.
        stat.rsplit_once(") ")
            .is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}
