//! A mount of a volume: a FUSE client, as each storage's host has one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::cli::run;
use crate::deadline::wait_for;
use crate::host::{ADDRESS, Host};
use crate::volume::Volume;

const PATIENCE: Duration = Duration::from_secs(30);

/// A mounted volume; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    client: Child,
    is_mounted: bool,
    /// The client needs its network.
    _host: Arc<Host>,
}

impl Mount {
    pub(crate) fn new(volume: &Volume, at: &Path, options: &[&str]) -> anyhow::Result<Mount> {
        let host = &volume.host;
        let at = at.canonicalize().context("the folder to mount at")?;
        // What lies below it is unmounted even if this process is killed.
        ensure!(
            at.starts_with(&host.folder),
            "{} is elsewhere",
            at.display()
        );
        let log = host.folder.join("log").join(log_name(&at));
        // As mount.glusterfs does it, but as our child.
        let client = host
            .in_network("glusterfs")
            .args(["-N", "--process-name", "fuse"])
            .arg(format!("--volfile-server={ADDRESS}"))
            .arg(format!("--volfile-id={}", volume.name))
            .arg(format!("--log-file={}", log.display()))
            .args(options)
            .arg(&at)
            .spawn()
            .context("cannot run glusterfs")?;
        let mut mount = Mount {
            at,
            client,
            is_mounted: true,
            _host: Arc::clone(host),
        };
        mount
            .wait()
            .with_context(|| format!("see {}", log.display()))?;
        Ok(mount)
    }

    /// Where it is.
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

    /// Takes it out of the tree; what is open stays open.
    ///
    /// # Errors
    /// It is not mounted.
    pub fn unmount_lazily(mut self) -> anyhow::Result<()> {
        self.detach()
    }

    /// Kills the FUSE client: the folder is there, and nothing in it answers.
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

    fn wait(&mut self) -> anyhow::Result<()> {
        let parent = self.at.parent().unwrap_or(&self.at).to_owned();
        let mut died = None;
        wait_for("the volume to be mounted", PATIENCE, || {
            died = self.client.try_wait().ok().flatten();
            if died.is_some() {
                return Ok(());
            }
            match (device(&self.at), device(&parent)) {
                (Ok(here), Ok(above)) if here != above => Ok(()),
                (Err(e), _) => Err(e.to_string()),
                _ => Err("an empty folder".to_owned()),
            }
        })?;
        match died {
            Some(status) => bail!("the client ended with {status}"),
            None => Ok(()),
        }
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

fn device(path: &Path) -> std::io::Result<u64> {
    Ok(fs::metadata(path)?.dev())
}

fn log_name(at: &Path) -> String {
    let name = at.display().to_string().replace('/', "-");
    format!("mount{name}.log")
}
