//! A glusterd, volumes and mounts that outlive the program that starts them. Nothing is remembered
//! but the folder: who runs is asked of the system each time.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use rustix::fs::{FileType, Mode, OFlags, mknodat};
use test_support::process::run;

use crate::host::{Gluster, Host, definition, prepare, spawn};
use crate::mount;
use crate::process::{self, Found};
use crate::programs;
use crate::volume::Volume;

impl Gluster {
    /// The one that keeps everything in `folder`, if it runs.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn find_standing(folder: &Path) -> anyhow::Result<Option<Gluster>> {
        if !folder.exists() {
            return Ok(None);
        }
        let folder = folder.canonicalize()?;
        let daemon = definition(&folder).display().to_string();
        Ok(process::find(&["-f", &daemon]).map(|daemon| {
            Gluster(Arc::new(Host {
                folder,
                insider: daemon.pid,
                _hold: None,
            }))
        }))
    }

    /// Starts one in `folder` with what it had when it ended, and waits until it answers.
    ///
    /// # Errors
    /// A program is missing (the message names the Debian packages), this is not root, or it does
    /// not start.
    pub fn start_standing(folder: &Path) -> anyhow::Result<Gluster> {
        programs::require()?;
        fs::create_dir_all(folder)?;
        let folder = prepare(folder)?;
        let mut outer = spawn(&folder, make_hold(&folder)?.into())?;
        let mut host = Host {
            folder,
            insider: outer.id(),
            _hold: None,
        };
        host.wait_until_up().inspect_err(|_| {
            // The error that led here is the one to tell.
            let _ = outer.kill();
        })?;
        let found = Gluster::find_standing(&host.folder)?.context("glusterd ended")?;
        host.insider = found.0.insider;
        Ok(Gluster(Arc::new(host)))
    }

    /// Ends all that runs for `folder`: a glusterd, its bricks, and what is mounted of them.
    ///
    /// # Errors
    /// A process lives on.
    pub fn end_standing(folder: &Path) -> anyhow::Result<()> {
        let Ok(folder) = folder.canonicalize() else {
            return Ok(());
        };
        let text = folder.display().to_string();
        let outer = process::find(&["outer", &text]);
        let mut hold = File::options();
        // Without a reader there is nothing to end.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        match hold
            .write(true)
            .custom_flags(flags)
            .open(hold_path(&folder))
        {
            Ok(mut hold) => hold.write_all(b"end\n")?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {}
            Err(e) => return Err(e).context("cannot end glusterd"),
        }
        outer.as_ref().map_or(Ok(()), Found::wait)
    }

    /// The volume of this name, made and started if it is missing.
    ///
    /// # Errors
    /// It cannot be made or started.
    pub fn standing_volume(&self, name: &str) -> anyhow::Result<Volume> {
        let volumes = self.0.gluster(&["volume", "list"])?;
        if volumes.lines().any(|line| line == name) {
            return Ok(self.known_volume(name));
        }
        self.volume(name)
    }

    /// The volume of this name, which is known to be there.
    pub fn known_volume(&self, name: &str) -> Volume {
        Volume::of(&self.0, name, 1)
    }
}

impl Volume {
    /// The processes of the bricks that run.
    pub fn brick_pids(&self) -> Vec<Option<u32>> {
        let pid = |idx| self.brick(idx).map(|found| found.pid);
        (0..self.bricks().len()).map(pid).collect()
    }

    /// Mounts it at a folder so that the mount outlives us.
    ///
    /// # Errors
    /// The volume does not answer, or the folder cannot be mounted over.
    pub fn mount_standing(&self, at: &Path) -> anyhow::Result<()> {
        let at = at.canonicalize().context("the folder to mount at")?;
        let mut client = mount::spawn(self, &at, &[])?;
        mount::wait(&mut client, &at).inspect_err(|_| {
            // The error that led here is the one to tell.
            let _ = client.kill();
        })
    }
}

/// The process of the client at a folder, if the volume there answers.
pub fn mounted(at: &Path) -> Option<u32> {
    let client = mount::find_client(at)?;
    mount::is_mounted(at)
        .is_ok_and(|is| is)
        .then_some(client.pid)
}

/// Unmounts what is mounted at a folder, alive or dead. Tells whether anything was.
///
/// # Errors
/// The client lives on.
pub fn unmount(at: &Path) -> anyhow::Result<bool> {
    let client = mount::find_client(at);
    let is_mount = is_in_mounts(at)?;
    let mut is_forced = false;
    if is_mount && run(Command::new("umount").arg(at)).is_err() {
        // Busy, or its client is dead.
        run(Command::new("umount").arg("-l").arg(at))?;
        is_forced = true;
    }
    match &client {
        Some(client) if is_forced || !is_mount => client.kill()?,
        // It ends with its mount, after it has told the bricks that all is well.
        Some(client) => client.wait()?,
        None => {}
    }
    Ok(is_mount || client.is_some())
}

/// Whether the system has a mount at a folder; the folder itself may not answer.
fn is_in_mounts(at: &Path) -> anyhow::Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let text = at.display().to_string();
    // Spaces and such are written in octal.
    let text = text.replace('\\', "\\134").replace(' ', "\\040");
    let is_it = |line: &str| line.split(' ').nth(1) == Some(&text);
    Ok(mounts.lines().any(is_it))
}

fn hold_path(folder: &Path) -> PathBuf {
    folder.join("hold")
}

/// A pipe with a name, open for both sides: it never ends by itself.
fn make_hold(folder: &Path) -> anyhow::Result<File> {
    let path = hold_path(folder);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let mode = Mode::from_raw_mode(0o600);
    mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0)?;
    Ok(File::options().read(true).write(true).open(&path)?)
}
