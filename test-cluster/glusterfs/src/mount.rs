//! A mount of a volume: a FUSE client, as on the host of each storage.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::host::{ADDRESS, Host};
use crate::processes::find_process;
use crate::volume::Volume;
use test_support::process::{Process, run};
use test_support::wait_for;

const PATIENCE: Duration = Duration::from_secs(30);

/// A mounted volume; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    client: Child,
    is_mounted: bool,
    /// The network of the client.
    _host: Arc<Host>,
}

impl Volume {
    /// Mounts the volume at a folder below that of its glusterd. A volume may have several mounts.
    ///
    /// # Errors
    /// The volume does not answer, or the folder cannot be mounted over.
    pub fn mount(&self, at: &Path) -> anyhow::Result<Mount> {
        Mount::new(self, at)
    }
}

impl Mount {
    fn new(volume: &Volume, at: &Path) -> anyhow::Result<Mount> {
        let host = &volume.host;
        let at = at.canonicalize().context("the folder to mount at")?;
        // Mounts below this folder are removed even if this program is killed.
        ensure!(
            at.starts_with(&host.folder),
            "{} is elsewhere",
            at.display()
        );
        let mut mount = Mount {
            client: spawn(volume, &at)?,
            at,
            is_mounted: true,
            _host: Arc::clone(host),
        };
        wait(&mut mount.client, &mount.at)?;
        Ok(mount)
    }

    /// The mount point.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Unmounts it as an administrator would.
    ///
    /// # Errors
    /// It is busy.
    pub fn unmount(mut self) -> anyhow::Result<()> {
        run(Command::new("umount").arg(&self.at))?;
        self.is_mounted = false;
        self.client.wait()?;
        Ok(())
    }

    /// Unmounts it lazily: open files stay open.
    ///
    /// # Errors
    /// It is not mounted.
    pub fn unmount_lazily(mut self) -> anyhow::Result<()> {
        self.detach()
    }

    /// Kills the FUSE client: the mount stays, and no operation on it succeeds.
    ///
    /// # Errors
    /// It is dead already.
    pub fn kill_client(&mut self) -> anyhow::Result<()> {
        self.client.kill()?;
        self.client.wait()?;
        Ok(())
    }

    fn detach(&mut self) -> anyhow::Result<()> {
        self.is_mounted = false;
        run(Command::new("umount").arg("-l").arg(&self.at)).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_mounted {
            drop(self.detach());
        }
        drop(self.client.kill());
        drop(self.client.wait());
    }
}

/// Starts a client like mount.glusterfs, but as a child of this program.
pub(crate) fn spawn(volume: &Volume, at: &Path) -> anyhow::Result<Child> {
    let host = &volume.host;
    let log = host.folder.join("log").join(log_name(at));
    host.in_network("glusterfs")
        .args(["-N", "--process-name", "fuse"])
        .arg(format!("--volfile-id={}", volume.name))
        .arg(format!("--log-file={}", log.display()))
        .arg(volfile_server())
        .arg(at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot run glusterfs")
}

/// The client that was started for a mount at this folder.
pub(crate) fn find_client(at: &Path) -> anyhow::Result<Option<Process>> {
    find_process(&[&volfile_server(), &at.display().to_string()])
}

fn volfile_server() -> String {
    format!("--volfile-server={ADDRESS}")
}

/// Waits until the volume is mounted at `at`.
pub(crate) fn wait(client: &mut Child, at: &Path) -> anyhow::Result<()> {
    let mut died = None;
    wait_for("the volume to be mounted", PATIENCE, || {
        died = client.try_wait().ok().flatten();
        if died.is_some() {
            return Ok(());
        }
        match is_mounted(at) {
            Ok(true) => Ok(()),
            Ok(false) => Err("an empty folder".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    })?;
    match died {
        Some(status) => bail!(
            "the client at {} ended with {status}, see its log",
            at.display()
        ),
        None => Ok(()),
    }
}

/// True if `at` is a mount point.
///
/// # Errors
/// It does not answer.
pub(crate) fn is_mounted(at: &Path) -> std::io::Result<bool> {
    let above = at.parent().unwrap_or(at);
    Ok(device(at)? != device(above)?)
}

fn device(path: &Path) -> std::io::Result<u64> {
    Ok(fs::metadata(path)?.dev())
}

fn log_name(at: &Path) -> String {
    let name = at.display().to_string().replace('/', "-");
    format!("mount{name}.log")
}
