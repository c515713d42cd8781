//! One node of a Galera cluster that outlives this program.
//!
//! A node has its own process and mount namespaces. So the programs that it starts end with it, and
//! its folder may be in a place that the account `mysql` cannot enter.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use test_mariadb::recipe::{self, WsrepPorts};

use crate::database::DATABASE_USER;
use crate::plan::GaleraNode;
use crate::plan::Plan;
use crate::process::log_end;
use crate::secret::{remove, write_secret};
use test_support::process::{Process, run};
use test_support::try_wait_for;

/// Longest wait for a node to join. It may have to copy everything from another node.
const JOIN: Duration = Duration::from_secs(120);
/// Longest wait for the end of a node.
const STOP: Duration = Duration::from_secs(60);
/// The path of its folder inside the namespace of a node.
const INSIDE: &str = "/mnt";
/// The argument before the folder of a node, in the command lines of the processes around mariadbd.
const AROUND: &str = "tnv-galera";

/// A node, running or not.
#[derive(Debug)]
pub(super) struct Server<'a> {
    plan: &'a Plan,
    node: &'a GaleraNode,
    folder: PathBuf,
}

impl<'a> Server<'a> {
    /// The nodes of a plan.
    pub(super) fn all(plan: &'a Plan) -> Vec<Server<'a>> {
        let server = |node: &'a GaleraNode| Server {
            plan,
            node,
            folder: plan.folder.join("galera").join(&node.name),
        };
        plan.galera.iter().map(server).collect()
    }

    pub(super) fn name(&self) -> &'a str {
        &self.node.name
    }

    /// The process of mariadbd.
    pub(super) fn process(&self) -> anyhow::Result<Option<Process>> {
        let mark = self.mark();
        let found = Process::find_all(|args| {
            args.first() == Some(&b"mariadbd".as_slice()) && args.contains(&mark.as_bytes())
        });
        Ok(found?.pop())
    }

    /// Succeeds if the node executes statements.
    ///
    /// # Errors
    /// The reason why it does not.
    pub(super) fn ready(&self) -> anyhow::Result<()> {
        let password = fs::read_to_string(self.plan.database_password())?;
        for (name, value) in [
            ("wsrep_ready", "ON"),
            ("wsrep_local_state_comment", "Synced"),
        ] {
            let sql = format!("SHOW STATUS LIKE '{name}'");
            let row = test_mariadb::first_row(self.node.addr, DATABASE_USER, &password, &sql)?;
            let found = row.and_then(|row| row.into_iter().nth(1));
            let found = found.unwrap_or_default();
            ensure!(found == value, "{name} is {found:?}, not {value}");
        }
        Ok(())
    }

    /// Starts the node and waits until it is ready.
    pub(super) fn start(&self, more: &[&str]) -> anyhow::Result<()> {
        // Processes may be left around a server that has ended.
        self.end(Signal::KILL)?;
        self.prepare()?;
        let path = self.plan.database_log(self.node);
        let log = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut command = self.within("mariadbd");
        command
            .args(self.args()?)
            .args(more)
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Process::spawn(&mut command)?;
        let what = format!("{} to be in the cluster", self.name());
        let up = try_wait_for(&what, JOIN, || {
            ensure!(process.is_alive(), "{} ended", self.name());
            Ok(self.ready().map_err(|e| format!("{e:#}")))
        });
        up.with_context(|| log_end(&path))
    }

    /// Ends the node and the processes around it. False if mariadbd did not run.
    pub(super) fn end(&self, signal: Signal) -> anyhow::Result<bool> {
        let around = [
            AROUND.as_bytes(),
            self.folder.as_os_str().as_encoded_bytes(),
        ];
        let mut all = Process::find_all(|args| args.windows(2).any(|window| window == around))?;
        let server = self.process()?;
        match &server {
            Some(server) => server.signal(signal)?,
            None => all
                .iter()
                .try_for_each(|other| other.signal(Signal::KILL))?,
        }
        for process in &mut all {
            if process.wait(STOP)?.is_none() {
                bail!("{} (process {}) did not end", self.name(), process.pid());
            }
        }
        Ok(server.is_some())
    }

    /// The number of its latest transaction; None without data.
    pub(super) fn position(&self) -> anyhow::Result<Option<i64>> {
        let Ok(text) = fs::read_to_string(self.state()) else {
            return Ok(None);
        };
        let noted = text.lines().find_map(|line| line.strip_prefix("seqno:"));
        match noted.map(|number| number.trim().parse()) {
            Some(Ok(number)) if number >= 0 => Ok(Some(number)),
            // The node was killed: the number is in its tables.
            _ => self.recover(),
        }
    }

    /// Creates the system tables and the account of the daemons.
    pub(super) fn install(&self) -> anyhow::Result<()> {
        self.prepare()?;
        let (grants, new) = (self.folder.join("grants.sql"), self.folder.join("data.new"));
        for path in [&new, &self.data()] {
            if path.exists() {
                fs::remove_dir_all(path)?;
            }
        }
        write_secret(&grants, &grants_for(&password(self.plan)?))?;
        let installed = run(self
            .within("mariadb-install-db")
            .args(recipe::INSTALL)
            .args(as_account()?)
            .args(["--datadir=/mnt/data.new", "--tmpdir=/mnt/tmp"])
            .args(["--auth-root-authentication-method=socket"])
            .args(["--extra-file=/mnt/grants.sql"]));
        remove(&grants)?;
        installed.context("mariadb-install-db")?;
        Ok(fs::rename(new, self.data())?)
    }

    /// Prepares a stopped node for a new cluster, as its first node or as another one.
    pub(super) fn forget_cluster(&self, is_first: bool) -> anyhow::Result<()> {
        remove(&self.data().join("gvwstate.dat"))?;
        if is_first && let Ok(text) = fs::read_to_string(self.state()) {
            let text = text.replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1");
            fs::write(self.state(), text)?;
        }
        Ok(())
    }

    fn recover(&self) -> anyhow::Result<Option<i64>> {
        let mut command = self.within("mariadbd");
        command.args(self.args()?).arg("--wsrep-recover");
        let output = command.output().context("cannot run unshare")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let mut lines = said.lines();
        let position = lines.find_map(|line| line.split("Recovered position: ").nth(1));
        let number = position.and_then(|text| text.rsplit(':').next()?.trim().parse().ok());
        Ok(number.filter(|number| *number >= 0))
    }

    /// Creates its folders.
    fn prepare(&self) -> anyhow::Result<()> {
        let owner = recipe::account()?.map(|(_, uid)| uid);
        for path in [&self.folder, &self.folder.join("tmp"), &self.data()] {
            fs::create_dir_all(path)?;
            chown(path, owner, None)?;
        }
        Ok(())
    }

    /// A command in its own namespaces, with the folder of the node at [`INSIDE`].
    fn within(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", include_str!("server.sh"), AROUND])
            .arg(&self.folder)
            .arg(program)
            .env("PATH", path_with_sbin())
            .stdin(Stdio::null());
        command
    }

    fn args(&self) -> anyhow::Result<Vec<String>> {
        let mut args: Vec<String> = recipe::SERVER.map(str::to_owned).into();
        args.extend(as_account()?);
        for (option, name) in [
            ("datadir", "data"),
            ("tmpdir", "tmp"),
            ("socket", "socket"),
            ("pid-file", "mariadbd.pid"),
        ] {
            args.push(format!("--{option}={INSIDE}/{name}"));
        }
        args.push(format!("--port={}", self.node.addr.port()));
        let ports = WsrepPorts {
            cluster: self.node.cluster_port,
            ist: self.node.ist_port,
            sst: self.node.sst_port,
        };
        let all = self.plan.galera.iter().map(|other| other.cluster_port);
        let all: Vec<_> = all.collect();
        args.extend(recipe::wsrep(self.name(), ports, &all, recipe::LOST_SOON));
        args.push(self.mark());
        Ok(args)
    }

    /// An option that identifies the server in `/proc`. mariadbd ignores unknown `loose` options.
    fn mark(&self) -> String {
        format!("--loose-tnv-node={}", self.folder.display())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The state that Galera saves when the node ends.
    fn state(&self) -> PathBuf {
        self.data().join("grastate.dat")
    }
}

fn as_account() -> anyhow::Result<Option<String>> {
    Ok(recipe::account()?.map(|(name, _)| format!("--user={name}")))
}

fn grants_for(password: &str) -> String {
    let user = format!("{DATABASE_USER}@'127.0.0.1'");
    format!(
        "FLUSH PRIVILEGES;\n\
         CREATE USER {user} IDENTIFIED BY '{password}';\n\
         GRANT ALL ON `tnv\\_%`.* TO {user};\n"
    )
}

/// The password of the account, created once: the database keeps it.
fn password(plan: &Plan) -> anyhow::Result<String> {
    let path = plan.database_password();
    if !path.exists() {
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let digits = random.iter().map(|byte| format!("{byte:02x}"));
        write_secret(&path, &digits.collect::<String>())?;
    }
    Ok(fs::read_to_string(&path)?)
}

/// mariadbd is in a folder that the PATH of a user may lack.
fn path_with_sbin() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}
