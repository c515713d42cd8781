//! A glusterd, volumes and mounts that outlive the program that starts them. `/proc` tells which of
//! their processes run; nothing but the folder is remembered.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustix::fs::{FileType, Mode, OFlags, mknodat};
use test_support::process::{Process, run};

use crate::host::{Gluster, Host, definition, prepare, spawn};
use crate::mount;
use crate::processes::{TIMEOUT, find_process};
use crate::programs;
use crate::volume::Volume;

impl Gluster {
    /// The glusterd that keeps everything in `folder`, if it runs.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn find_persistent(folder: &Path) -> anyhow::Result<Option<Gluster>> {
        if !folder.exists() {
            return Ok(None);
        }
        let folder = folder.canonicalize()?;
        let daemon = definition(&folder).display().to_string();
        Ok(find_process(&["-f", &daemon])?.map(|daemon| {
            Gluster(Arc::new(Host {
                folder,
                insider: daemon.pid(),
                _hold: None,
            }))
        }))
    }

    /// Starts a glusterd in `folder` with the volumes that it had before, and waits until it answers.
    ///
    /// # Errors
    /// A program is missing (the message names the Debian packages), this is not root, or it does
    /// not start.
    pub fn start_persistent(folder: &Path) -> anyhow::Result<Gluster> {
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
            // The error of the wait tells more.
            let _ = outer.kill();
        })?;
        let found = Gluster::find_persistent(&host.folder)?.context("glusterd ended")?;
        host.insider = found.0.insider;
        Ok(Gluster(Arc::new(host)))
    }

    /// Stops the glusterd of `folder`, its bricks and the mounts of its volumes.
    ///
    /// # Errors
    /// A process does not end.
    pub fn stop_persistent(folder: &Path) -> anyhow::Result<()> {
        let Ok(folder) = folder.canonicalize() else {
            return Ok(());
        };
        let text = folder.display().to_string();
        let outer = find_process(&["outer", &text])?;
        let mut hold = File::options();
        // NONBLOCK: the open fails without a reader, when no glusterd runs.
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
        outer.map_or(Ok(()), wait_for_end)
    }

    /// The volume of this name. Creates and starts it if it is missing.
    ///
    /// # Errors
    /// It cannot be made or started.
    pub fn persistent_volume(&self, name: &str) -> anyhow::Result<Volume> {
        let volumes = self.0.gluster(&["volume", "list"])?;
        if volumes.lines().any(|line| line == name) {
            return Ok(self.known_volume(name));
        }
        self.volume(name)
    }

    /// A volume that exists.
    pub fn known_volume(&self, name: &str) -> Volume {
        Volume::of(&self.0, name, 1)
    }
}

impl Volume {
    /// The process id of each brick that runs.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn brick_pids(&self) -> anyhow::Result<Vec<Option<u32>>> {
        let pid = |idx| Ok(self.brick(idx)?.map(|process| process.pid()));
        (0..self.bricks().len()).map(pid).collect()
    }

    /// Mounts the volume at a folder. The mount outlives this program.
    ///
    /// # Errors
    /// The volume does not answer, or the folder cannot be mounted over.
    pub fn mount_persistent(&self, at: &Path) -> anyhow::Result<()> {
        let at = at.canonicalize().context("the folder to mount at")?;
        let mut client = mount::spawn(self, &at)?;
        mount::wait(&mut client, &at).inspect_err(|_| {
            // The error of the wait tells more.
            let _ = client.kill();
        })
    }
}

/// The process id of the client that mounted a volume at a folder, if the volume answers.
pub fn mounted(at: &Path) -> Option<u32> {
    let client = mount::find_client(at).ok()??;
    let answers = mount::is_mounted(at).is_ok_and(|is_mounted| is_mounted);
    answers.then(|| client.pid())
}

/// Unmounts a volume, also if its client is dead. False if none is mounted at the folder.
///
/// # Errors
/// The client does not end.
pub fn unmount(at: &Path) -> anyhow::Result<bool> {
    let client = mount::find_client(at)?;
    let is_mount = is_in_mounts(at)?;
    let mut is_forced = false;
    if is_mount && run(Command::new("umount").arg(at)).is_err() {
        // The mount is busy, or its client is dead.
        run(Command::new("umount").arg("-l").arg(at))?;
        is_forced = true;
    }
    let is_there = is_mount || client.is_some();
    match client {
        Some(mut client) if is_forced || !is_mount => client.kill(TIMEOUT)?,
        // The client ends with its mount, after it has signed off from the bricks.
        Some(client) => wait_for_end(client)?,
        None => {}
    }
    Ok(is_there)
}

fn wait_for_end(mut process: Process) -> anyhow::Result<()> {
    let exit = process.wait(TIMEOUT)?;
    ensure!(
        exit.is_some(),
        "process {} runs after {TIMEOUT:?}",
        process.pid()
    );
    Ok(())
}

/// True if a file system is mounted at the folder, also if it does not answer.
fn is_in_mounts(at: &Path) -> anyhow::Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let text = at.display().to_string();
    // The kernel writes spaces and backslashes in octal.
    let text = text.replace('\\', "\\134").replace(' ', "\\040");
    let is_it = |line: &str| line.split(' ').nth(1) == Some(&text);
    Ok(mounts.lines().any(is_it))
}

fn hold_path(folder: &Path) -> PathBuf {
    folder.join("hold")
}

/// A named pipe that is open for reading and writing, so a reader never sees its end.
fn make_hold(folder: &Path) -> anyhow::Result<File> {
    let path = hold_path(folder);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let mode = Mode::from_raw_mode(0o600);
    mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0)?;
    Ok(File::options().read(true).write(true).open(&path)?)
}
