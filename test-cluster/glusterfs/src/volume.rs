//! A volume and its bricks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::host::{ADDRESS, Gluster, Host, socket};
use crate::processes::{TIMEOUT, find_process};
use crate::programs;
use test_support::process::Process;
use test_support::wait_for;

/// Settings of a volume for files of tnv; `docs/glusterfs.md` has the reasons.
pub const SETTINGS: &[(&str, &str)] = &[
    ("cluster.quorum-type", "auto"),
    ("network.ping-timeout", "10"),
    ("performance.open-behind", "off"),
    ("performance.flush-behind", "off"),
    ("performance.stat-prefetch", "off"),
    ("performance.quick-read", "off"),
    ("cluster.favorite-child-policy", "none"),
];
/// Bricks of one set: two with data and an arbiter.
const SET: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// A started volume.
#[derive(Debug, Clone)]
pub struct Volume {
    pub(crate) host: Arc<Host>,
    pub(crate) name: String,
    bricks: Vec<PathBuf>,
}

impl Gluster {
    /// A started volume with two copies of each file and an arbiter.
    ///
    /// # Errors
    /// It cannot be made or started.
    pub fn volume(&self, name: &str) -> anyhow::Result<Volume> {
        Volume::create(&self.0, name, 1)
    }

    /// A volume that distributes the files over `sets` sets of bricks.
    ///
    /// # Errors
    /// It cannot be made or started.
    pub fn distributed(&self, name: &str, sets: usize) -> anyhow::Result<Volume> {
        Volume::create(&self.0, name, sets)
    }
}

impl Volume {
    pub(crate) fn create(host: &Arc<Host>, name: &str, sets: usize) -> anyhow::Result<Volume> {
        let volume = Volume::of(host, name, sets);
        std::fs::create_dir_all(host.folder.join("bricks").join(name))?;
        let places = volume.bricks.iter().map(|brick| place(brick));
        let places: Vec<String> = places.collect();
        let mut args = vec!["create", name, "replica", "3", "arbiter", "1"];
        args.extend(places.iter().map(String::as_str));
        // The bricks may lie on the root file system, which glusterd warns of.
        args.push("force");
        volume.command(&args)?;
        let mut settings = vec!["set", name];
        settings.extend(SETTINGS.iter().flat_map(|(key, value)| [key, value]));
        volume.command(&settings)?;
        volume.command(&["start", name])?;
        Ok(volume)
    }

    /// Describes a volume, existing or not.
    pub(crate) fn of(host: &Arc<Host>, name: &str, sets: usize) -> Volume {
        let folder = host.folder.join("bricks").join(name);
        let bricks = (0..sets * SET).map(|idx| folder.join(idx.to_string()));
        Volume {
            host: Arc::clone(host),
            name: name.to_owned(),
            bricks: bricks.collect(),
        }
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// There is no such setting, or it has no such value.
    pub fn set(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.command(&["set", &self.name, key, value]).map(drop)
    }

    /// Resets all settings to the defaults of GlusterFS.
    ///
    /// # Errors
    /// The volume does not answer.
    pub fn reset(&self) -> anyhow::Result<()> {
        self.command(&["reset", &self.name, "force"]).map(drop)
    }

    /// The folders of the bricks; of each three, the last is the arbiter.
    pub fn bricks(&self) -> &[PathBuf] {
        &self.bricks
    }

    /// Kills the process of a brick, as a host that loses its power would.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_brick(&self, idx: usize) -> anyhow::Result<()> {
        let brick = self.brick(idx)?;
        let folder = self.bricks[idx].display();
        let mut brick = brick.with_context(|| format!("brick {folder} does not run"))?;
        brick.kill(TIMEOUT)
    }

    pub(crate) fn brick(&self, idx: usize) -> anyhow::Result<Option<Process>> {
        let brick = self.bricks[idx].display().to_string();
        find_process(&["--brick-name", &brick])
    }

    /// Starts the bricks that do not run, and waits until they serve.
    ///
    /// # Errors
    /// One does not start.
    pub fn start_bricks(&self) -> anyhow::Result<()> {
        self.command(&["start", &self.name, "force"])?;
        wait_for("all bricks to be online", PATIENCE, || {
            let status = self.command(&["status", &self.name, "detail"]);
            let status = status.map_err(|e| format!("{e:#}"))?;
            let online = status.lines().filter(|line| is_online(line)).count();
            (online == self.bricks.len())
                .then_some(())
                .ok_or_else(|| format!("{online} of {}", self.bricks.len()))
        })
    }

    /// The number of entries to heal on all bricks that answer.
    ///
    /// # Errors
    /// The volume does not answer.
    pub fn heal_pending(&self) -> anyhow::Result<u64> {
        let text = self.command(&["heal", &self.name, "statistics", "heal-count"])?;
        let counts = text
            .lines()
            .filter_map(|line| line.strip_prefix("Number of entries: "));
        // A brick that is down has a dash.
        Ok(counts
            .filter_map(|count| count.trim().parse::<u64>().ok())
            .sum())
    }

    /// The command that lists all entries to heal by brick. `gluster volume heal NAME info summary` runs
    /// the same program, but only with the usual socket of glusterd.
    ///
    /// # Errors
    /// There is no such program.
    pub fn heal_info(&self) -> anyhow::Result<Vec<String>> {
        let network = format!("--net=/proc/{}/ns/net", self.host.insider);
        let socket = socket(&self.host.folder).display().to_string();
        let glfsheal = programs::glfsheal()?.display().to_string();
        let arguments = [&self.name, "info-summary", "glusterd-sock", &socket];
        let words = ["nsenter", &network, &glfsheal].into_iter();
        Ok(words.chain(arguments).map(str::to_owned).collect())
    }

    /// Starts healing now. GlusterFS also starts it some seconds after the return of a brick.
    ///
    /// # Errors
    /// A brick is down, or the self-heal daemon does not come up.
    pub fn heal(&self) -> anyhow::Result<()> {
        wait_for("the self-heal daemon to take the command", PATIENCE, || {
            self.command(&["heal", &self.name])
                .map(drop)
                .map_err(|e| format!("{e:#}"))
        })
    }

    pub(crate) fn command(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut all = vec!["volume"];
        all.extend(args);
        self.host.gluster(&all)
    }
}

fn place(brick: &Path) -> String {
    format!("{ADDRESS}:{}", brick.display())
}

/// A line of `volume status ... detail`: "Online               : Y".
fn is_online(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("Online") && words.last() == Some("Y")
}
