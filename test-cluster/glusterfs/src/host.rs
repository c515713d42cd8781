//! One glusterd, in namespaces of its own.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::programs;
use test_support::wait_for;

/// The address of the host within its network: GlusterFS takes no loopback address for a brick.
pub(crate) const ADDRESS: &str = "192.0.2.1";
const PATIENCE: Duration = Duration::from_secs(30);
/// The congestion control of the network of this program.
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Longest path of a Unix socket.
const SOCKET_PATH_MAX: usize = 107;

/// A glusterd. If a test has started it, it ends with its bricks when this value and all its volumes and
/// mounts are dropped, or when this program ends.
#[derive(Debug, Clone)]
pub struct Gluster(pub(crate) Arc<Host>);

/// The processes behind a glusterd.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) folder: PathBuf,
    /// A process in its network.
    pub(crate) insider: u32,
    /// None if it outlives this program.
    pub(crate) _hold: Option<Hold>,
}

/// Ends the host when it is dropped, and when this program ends.
#[derive(Debug)]
pub(crate) struct Hold {
    outer: Child,
    input: Option<ChildStdin>,
}

impl Gluster {
    /// Starts a glusterd with state, logs, sockets and bricks in `folder`.
    ///
    /// # Errors
    /// A program is missing (the message names the Debian packages), this is not root, or it does
    /// not start.
    pub fn start(folder: &Path) -> anyhow::Result<Gluster> {
        programs::require().context("TNV_TEST_ENGINES=embedded leaves these tests out")?;
        let folder = prepare(folder)?;
        let mut outer = spawn(&folder, Stdio::piped())?;
        let host = Host {
            folder,
            insider: outer.id(),
            _hold: Some(Hold {
                input: outer.stdin.take(),
                outer,
            }),
        };
        host.wait_until_up()?;
        Ok(Gluster(Arc::new(host)))
    }
}

impl Host {
    pub(crate) fn wait_until_up(&self) -> anyhow::Result<()> {
        let look = || {
            self.gluster(&["volume", "list"])
                .map_err(|e| format!("{e:#}"))
        };
        wait_for("glusterd to answer", PATIENCE, look)
            .with_context(|| format!("see {}", self.folder.join("log").display()))?;
        Ok(())
    }

    /// A command in the network namespace of glusterd, and in the mount namespace of this program.
    pub(crate) fn in_network(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.insider))
            .arg(program)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.outer.wait());
    }
}

/// Creates missing folders and removes the process ids of the previous glusterd. Returns the absolute
/// path of the folder.
pub(crate) fn prepare(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.canonicalize().context("the folder of a glusterd")?;
    let run = folder.join("run");
    if run.exists() {
        fs::remove_dir_all(&run)?;
    }
    for name in ["state", "log", "run", "bricks"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(definition(&folder), volfile(&folder)?)?;
    Ok(folder)
}

/// Starts the processes, with the congestion control of this program. They end at the end of `hold`, or when it has a line.
pub(crate) fn spawn(folder: &Path, hold: Stdio) -> anyhow::Result<Child> {
    let log = fs::File::create(folder.join("log/host.log"))?;
    let congestion_control = fs::read_to_string(CONGESTION_CONTROL)?;
    Command::new("unshare")
        .args(["--net", "sh", "-c", include_str!("outer.sh"), "outer"])
        .arg(folder)
        .arg(include_str!("inner.sh"))
        .arg(congestion_control.trim())
        .stdin(hold)
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot run unshare")
}

/// The configuration of glusterd. Its path identifies the process.
pub(crate) fn definition(folder: &Path) -> PathBuf {
    folder.join("glusterd.vol")
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

/// The socket of glusterd for the program `gluster`.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("glusterd.sock")
}
