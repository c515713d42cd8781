//! The nodes of a Galera cluster that outlives the program that starts it.
//!
//! Each runs in process and mount namespaces of its own: with the server end the copies it makes,
//! and its folder may lie where the account `mysql` cannot go.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use test_mariadb::recipe::{self, WsrepPorts};

use crate::deadline::{try_wait_for, wait_until};
use crate::plan::{DATABASE_USER, GaleraNode, Plan};
use crate::process::{Process, find_all, log_end};

/// A node that joins may have to copy all from another.
const JOIN: Duration = Duration::from_secs(120);
/// For a node that runs to find out whether it is in the cluster.
const SETTLE: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(60);
/// Where a node sees its own folder.
const INSIDE: &str = "/mnt";
/// What stands before the folder of a node in the arguments of the processes around the server.
const AROUND: &str = "tnv-galera";

/// Starts the nodes that do not run, and waits until all are in one cluster; tells which it
/// started. If none of them serves, all begin anew from the one that knows most.
pub(super) fn up(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let runs = |node: &&GaleraNode| server(plan, node).is_ok_and(|found| found.is_some());
    let (running, mut missing): (Vec<_>, Vec<_>) = plan.galera.iter().partition(runs);
    if !running.is_empty() && !serves(plan, &running) {
        for node in &running {
            end(plan, node, Signal::KILL)?;
        }
        missing = plan.galera.iter().collect();
    }
    let mut started: Vec<String> = missing.iter().map(|node| node.name.clone()).collect();
    if missing.len() == plan.galera.len() {
        let first = first_of(plan)?;
        missing.retain(|node| *node != first);
        run(plan, first, &["--wsrep-new-cluster"])?;
    }
    // One at a time: a node copies to one only.
    for node in missing {
        run(plan, node, &[])?;
    }
    started.sort();
    Ok(started)
}

/// Whether a node takes statements.
pub(super) fn ready(plan: &Plan, node: &GaleraNode) -> anyhow::Result<()> {
    let password = fs::read_to_string(plan.database_password())?;
    for (name, value) in [
        ("wsrep_ready", "ON"),
        ("wsrep_local_state_comment", "Synced"),
    ] {
        let sql = format!("SHOW STATUS LIKE '{name}'");
        let row = test_mariadb::first_row(node.addr, DATABASE_USER, &password, &sql)?;
        let found = row.and_then(|row| row.into_iter().nth(1));
        let found = found.unwrap_or_default();
        ensure!(found == value, "{name} is {found:?}, not {value}");
    }
    Ok(())
}

/// The server's process.
pub(super) fn server(plan: &Plan, node: &GaleraNode) -> anyhow::Result<Option<Process>> {
    let mark = mark(plan, node);
    let found = find_all(|args| {
        args.first() == Some(&b"mariadbd".as_slice()) && args.contains(&mark.as_bytes())
    });
    Ok(found?.pop())
}

/// Ends all nodes in order; tells how many ran.
pub(super) fn stop(plan: &Plan) -> anyhow::Result<usize> {
    let mut n_stopped = 0;
    for node in &plan.galera {
        n_stopped += usize::from(end(plan, node, Signal::TERM)?);
    }
    Ok(n_stopped)
}

/// Ends a node and all that is around it.
fn end(plan: &Plan, node: &GaleraNode, signal: Signal) -> anyhow::Result<bool> {
    let folder = folder(plan, node);
    let around = [AROUND.as_bytes(), folder.as_os_str().as_encoded_bytes()];
    let mut all = find_all(|args| args.windows(2).any(|window| window == around))?;
    let server = server(plan, node)?;
    let is_running = server.is_some();
    match server {
        Some(server) => server.signal(signal)?,
        None => all
            .iter()
            .try_for_each(|other| other.signal(Signal::KILL))?,
    }
    for process in &mut all {
        if process.wait(STOP)?.is_none() {
            bail!("{} (process {}) did not end", node.name, process.pid());
        }
    }
    Ok(is_running)
}

fn serves(plan: &Plan, running: &[&GaleraNode]) -> bool {
    let any_ready = || running.iter().any(|node| ready(plan, node).is_ok());
    wait_until("a node to serve", SETTLE, any_ready).is_ok()
}

/// Starts a node and waits until it serves.
fn run(plan: &Plan, node: &GaleraNode, more: &[&str]) -> anyhow::Result<()> {
    // What a dead server may have left around it.
    end(plan, node, Signal::KILL)?;
    prepare(plan, node)?;
    let path = plan.database_log(node);
    let log = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut command = within(plan, node, "mariadbd");
    command
        .args(args(plan, node)?)
        .args(more)
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut process = Process::adopt(command.spawn().context("cannot run unshare")?)?;
    let what = format!("{} to be in the cluster", node.name);
    let up = try_wait_for(&what, JOIN, || {
        ensure!(process.is_alive(), "{} ended", node.name);
        Ok(ready(plan, node).map_err(|e| format!("{e:#}")))
    });
    up.with_context(|| log_end(&path))
}

/// The node that is ahead of the others; a new one if none has anything yet.
fn first_of(plan: &Plan) -> anyhow::Result<&GaleraNode> {
    let mut best: Option<(i64, &GaleraNode)> = None;
    for node in &plan.galera {
        let position = position(plan, node)?;
        if let Some(position) = position
            && best.is_none_or(|(other, _)| position > other)
        {
            best = Some((position, node));
        }
    }
    for node in &plan.galera {
        // Of a cluster that is no more.
        remove(&data(plan, node).join("gvwstate.dat"))?;
    }
    if let Some((_, node)) = best {
        let path = state(plan, node);
        let text = fs::read_to_string(&path)?;
        fs::write(
            &path,
            text.replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1"),
        )?;
        return Ok(node);
    }
    let node = plan.galera.first().context("a cluster without nodes")?;
    install(plan, node)?;
    Ok(node)
}

/// The last transaction that a node has; nothing if it has no data.
fn position(plan: &Plan, node: &GaleraNode) -> anyhow::Result<Option<i64>> {
    let Ok(text) = fs::read_to_string(state(plan, node)) else {
        return Ok(None);
    };
    let noted = text.lines().find_map(|line| line.strip_prefix("seqno:"));
    match noted.map(|number| number.trim().parse()) {
        Some(Ok(number)) if number >= 0 => Ok(Some(number)),
        // It was killed: its tables tell.
        _ => recover(plan, node),
    }
}

fn recover(plan: &Plan, node: &GaleraNode) -> anyhow::Result<Option<i64>> {
    let mut command = within(plan, node, "mariadbd");
    command.args(args(plan, node)?).arg("--wsrep-recover");
    let output = command.output().context("cannot run unshare")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let position = said
        .lines()
        .find_map(|line| line.split("Recovered position: ").nth(1));
    let number = position.and_then(|text| text.rsplit(':').next()?.trim().parse().ok());
    Ok(number.filter(|number| *number >= 0))
}

/// Makes the system's own tables and our user in a node's folder.
fn install(plan: &Plan, node: &GaleraNode) -> anyhow::Result<()> {
    prepare(plan, node)?;
    let folder = folder(plan, node);
    let (grants, new) = (folder.join("grants.sql"), folder.join("data.new"));
    remove_folder(&new)?;
    remove_folder(&data(plan, node))?;
    write_secret(&grants, &grants_for(&password(plan)?))?;
    let output = within(plan, node, "mariadb-install-db")
        .args(recipe::INSTALL)
        .args(as_account()?)
        .args(["--datadir=/mnt/data.new", "--tmpdir=/mnt/tmp"])
        .args(["--auth-root-authentication-method=socket"])
        .args(["--extra-file=/mnt/grants.sql"])
        .output()
        .context("cannot run unshare")?;
    remove(&grants)?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "mariadb-install-db: {}",
        String::from_utf8_lossy(&said)
    );
    fs::rename(new, data(plan, node))?;
    Ok(())
}

fn grants_for(password: &str) -> String {
    let user = format!("{DATABASE_USER}@'127.0.0.1'");
    format!(
        "FLUSH PRIVILEGES;\n\
         CREATE USER {user} IDENTIFIED BY '{password}';\n\
         GRANT ALL ON `tnv\\_%`.* TO {user};\n"
    )
}

/// Made once; the database keeps it.
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

fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    remove(path)?;
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// The folders of a node, with their owner.
fn prepare(plan: &Plan, node: &GaleraNode) -> anyhow::Result<()> {
    let folder = folder(plan, node);
    let owner = recipe::account()?.map(|(_, uid)| uid);
    for path in [folder.clone(), folder.join("tmp"), data(plan, node)] {
        fs::create_dir_all(&path)?;
        chown(&path, owner, None)?;
    }
    Ok(())
}

/// A command in namespaces of its own, with the node's folder at [`INSIDE`].
fn within(plan: &Plan, node: &GaleraNode, program: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", include_str!("galera.sh"), AROUND])
        .arg(folder(plan, node))
        .arg(program)
        .env("PATH", super::path_with_sbin())
        .stdin(Stdio::null())
        .process_group(0);
    command
}

fn args(plan: &Plan, node: &GaleraNode) -> anyhow::Result<Vec<String>> {
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
    args.push(format!("--port={}", node.addr.port()));
    let ports = WsrepPorts {
        cluster: node.cluster_port,
        ist: node.ist_port,
        sst: node.sst_port,
    };
    let all: Vec<u16> = plan.galera.iter().map(|other| other.cluster_port).collect();
    args.extend(recipe::wsrep(&node.name, ports, &all));
    args.push(mark(plan, node));
    Ok(args)
}

fn as_account() -> anyhow::Result<Option<String>> {
    Ok(recipe::account()?.map(|(name, _)| format!("--user={name}")))
}

/// What tells a server from others: an option that none knows, and that none minds.
fn mark(plan: &Plan, node: &GaleraNode) -> String {
    format!("--loose-tnv-node={}", folder(plan, node).display())
}

fn folder(plan: &Plan, node: &GaleraNode) -> PathBuf {
    plan.folder.join(super::DATABASES).join(&node.name)
}

fn data(plan: &Plan, node: &GaleraNode) -> PathBuf {
    folder(plan, node).join("data")
}

fn state(plan: &Plan, node: &GaleraNode) -> PathBuf {
    data(plan, node).join("grastate.dat")
}

fn remove(path: &Path) -> anyhow::Result<()> {
    if_there(path, fs::remove_file(path))
}

fn remove_folder(path: &Path) -> anyhow::Result<()> {
    if_there(path, fs::remove_dir_all(path))
}

fn if_there(path: impl AsRef<OsStr>, removed: std::io::Result<()>) -> anyhow::Result<()> {
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", path.as_ref().display()))
        }
        _ => Ok(()),
    }
}
