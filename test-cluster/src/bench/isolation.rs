//! The surroundings of a run: a network with one congestion control for all contestants, and an end that leaves
//! nothing, however the run ends.
//!
//! This program runs itself again in namespaces of its own. Their first process is a child of this program: when this
//! program ends, the kernel kills every process of the run and removes its mounts. The guard of `test-support` kills
//! the child and removes the folders, even if this program is killed.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, io};

use anyhow::{Context, bail, ensure};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use test_support::process::{Exit, OwnedProcess, guard_folder, run};

use super::options::Options;
use crate::layout::Engine;

/// Longest run.
const RUN: Duration = Duration::from_secs(6 * 3600);
/// The congestion control of the network namespace of a process.
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// The network of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The congestion control of all connections.
    pub congestion_control: String,
    /// The reason why the figures are unfair; absent if the network belongs to the run alone.
    pub unfair: Option<String>,
}

impl Network {
    /// The network of this process. `unfair` tells why it has none of its own.
    pub(super) fn of_this_process(unfair: Option<String>) -> anyhow::Result<Network> {
        let name = fs::read_to_string(CONGESTION_CONTROL)
            .with_context(|| format!("cannot read {CONGESTION_CONTROL}"))?;
        Ok(Network {
            congestion_control: name.trim().to_owned(),
            unfair,
        })
    }

    /// A line for the output of a run.
    pub fn describe(&self) -> String {
        let name = &self.congestion_control;
        match &self.unfair {
            None => format!("all connections in one network namespace with {name}"),
            Some(reason) => format!("UNFAIR, {name} in the network of the system: {reason}"),
        }
    }
}

/// Runs the measurement in namespaces of its own. Where there are none, it runs without them and says so.
///
/// # Errors
/// The folders cannot be created, or the measurement fails.
pub(super) fn isolate(folder: &Path, options: &Options) -> anyhow::Result<()> {
    let scratch = guarded_folder(folder, "bench-", 0o700)?;
    // Database servers run under another account, which must reach their folders.
    let temporary = guarded_folder(&env::temp_dir(), "tnv-bench-", 0o711)?;
    let program = env::current_exe().context("the path of this program")?;
    let unfair = try_namespaces(&options.congestion_control).err();
    if let Some(reason) = &unfair
        && options.engine == Engine::Full
    {
        bail!("GlusterFS and Galera need namespaces: {reason:#}");
    }
    let mut command = match &unfair {
        None => namespaces(&options.congestion_control),
        Some(_) => Command::new(&program),
    };
    if unfair.is_none() {
        command.arg(program);
    }
    command
        .args(env::args_os().skip(1))
        .args([OsString::from("--inside"), scratch.path().into()])
        .env("TMPDIR", temporary.path());
    if let Some(reason) = unfair {
        command.args(["--unfair", &format!("{reason:#}")]);
    }
    let mut process = OwnedProcess::spawn(&mut command)?;
    match process.wait(RUN)? {
        Some(Exit::Code(0)) => Ok(()),
        Some(exit) => bail!("the measurement ended with {exit:?}"),
        None => bail!("the measurement takes longer than {RUN:?}"),
    }
}

/// A folder that is removed when this program ends, however it ends.
fn guarded_folder(parent: &Path, prefix: &str, mode: u32) -> anyhow::Result<TempDir> {
    let create = || -> io::Result<TempDir> {
        fs::create_dir_all(parent)?;
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent.canonicalize()?)?;
        guard_folder(folder.path())?;
        fs::set_permissions(folder.path(), Permissions::from_mode(mode))?;
        Ok(folder)
    };
    create().with_context(|| format!("cannot create a folder in {}", parent.display()))
}

/// Creates the namespaces once.
///
/// # Errors
/// The reason why they are not to be had.
fn try_namespaces(congestion_control: &str) -> anyhow::Result<()> {
    ensure!(
        geteuid().is_root(),
        "only root creates network namespaces, and this is not root"
    );
    run(namespaces(congestion_control).arg("true"))
        .map(drop)
        .context("cannot create a network namespace")
}

/// A command that runs its further arguments in new namespaces.
fn namespaces(congestion_control: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc"])
        .args(["sh", "-c", include_str!("isolation/namespaces.sh")])
        .args(["tnv-bench", congestion_control]);
    command
}
