//! One glusterd, in namespaces of its own.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::deadline::wait_for;
use crate::programs;
use crate::volume::Volume;

/// The address of the host within its network: GlusterFS takes no loopback address for a brick.
pub(crate) const ADDRESS: &str = "192.0.2.1";
const PATIENCE: Duration = Duration::from_secs(30);
/// A Unix socket's path has room for 108 bytes.
const SOCKET_PATH_MAX: usize = 107;

/// A glusterd. It ends, with its bricks, when this and all volumes and mounts of it are dropped,
/// or when this process ends in whatever way.
#[derive(Debug, Clone)]
pub struct Gluster(Arc<Host>);

/// The processes behind a glusterd.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) folder: PathBuf,
    outer: Child,
    /// Its end is the end of all.
    hold: Option<ChildStdin>,
}

impl Gluster {
    /// Starts one that keeps everything in `folder`: state, logs, sockets and bricks.
    ///
    /// # Errors
    /// A program is missing (the message names the Debian packages), this is not root, or it does
    /// not start.
    pub fn start(folder: &Path) -> anyhow::Result<Gluster> {
        programs::require()?;
        let folder = folder.canonicalize().context("the folder of a glusterd")?;
        for name in ["state", "log", "run", "bricks"] {
            fs::create_dir(folder.join(name))?;
        }
        fs::write(folder.join("glusterd.vol"), volfile(&folder)?)?;
        let host = Host::spawn(folder)?;
        let look = || {
            host.gluster(&["volume", "list"])
                .map_err(|e| format!("{e:#}"))
        };
        wait_for("glusterd to answer", PATIENCE, look)
            .with_context(|| format!("see {}", host.folder.join("log").display()))?;
        Ok(Gluster(Arc::new(host)))
    }

    /// A started volume with two copies of each file and an arbiter.
    ///
    /// # Errors
    /// It cannot be made or started.
    pub fn volume(&self, name: &str) -> anyhow::Result<Volume> {
        Volume::create(&self.0, name, 1)
    }

    /// The same over `sets` such sets of bricks, among which the files are distributed.
    ///
    /// # Errors
    /// It cannot be made or started.
    pub fn distributed(&self, name: &str, sets: usize) -> anyhow::Result<Volume> {
        Volume::create(&self.0, name, sets)
    }
}

impl Host {
    fn spawn(folder: PathBuf) -> anyhow::Result<Host> {
        let log = fs::File::create(folder.join("log/host.log"))?;
        let mut outer = Command::new("unshare")
            .args(["--net", "sh", "-c", include_str!("outer.sh"), "outer"])
            .arg(&folder)
            .arg(include_str!("inner.sh"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("cannot run unshare")?;
        let hold = outer.stdin.take();
        Ok(Host {
            folder,
            outer,
            hold,
        })
    }

    /// A command that runs in glusterd's network and sees the mounts that all see.
    pub(crate) fn in_network(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.outer.id()))
            .arg(program)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.hold.take());
        // The answer would change nothing.
        drop(self.outer.wait());
    }
}

fn volfile(folder: &Path) -> anyhow::Result<String> {
    let socket = socket(folder);
    ensure!(
        socket.as_os_str().len() <= SOCKET_PATH_MAX,
        "{} is too long a path for a socket",
        socket.display()
    );
    Ok(format!(
        "volume management\n\
         type mgmt/glusterd\n\
         option working-directory {}\n\
         option glusterd-sockfile {}\n\
         option transport-type socket\n\
         option transport.socket.read-fail-log off\n\
         option ping-timeout 0\n\
         option event-threads 1\n\
         end-volume\n",
        folder.join("state").display(),
        socket.display()
    ))
}

/// Where the command line reaches glusterd.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("glusterd.sock")
}
