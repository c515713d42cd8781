//! What a daemon does to its own process before it serves: background, pid file, working folder,
//! limits, user. All of it happens on the main thread, before there is another one.
//!
//! Order matters. The pid file is taken as root, in `/run`; the user is changed before any log,
//! database or store file is made, so that all of them belong to the user. Ports below 1024 need
//! no root by then: the right to bind them, and no other, is kept over the change of user. So
//! nothing has to be bound ahead and handed through, and a port that the configuration adds later
//! can be bound, too.

pub(crate) mod background;
mod config;
mod notify;
mod pid_file;
mod user;

use std::env;
use std::path::Path;

use anyhow::Context;
use nix::unistd::{Uid, User};
use rustix::fs::Mode;

use crate::host;

pub use config::{ProcessConfig, Umask};
pub(crate) use notify::Notifier;
pub(crate) use pid_file::{AlreadyRuns, PidFile};

/// What was prepared; the pid file is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Prepared {
    _pid_file: Option<PidFile>,
    /// What the log is to be told, once there is one.
    pub(crate) warnings: Vec<String>,
}

/// Turns this process into what the configuration wants, with the pid file of the command line or
/// else of the configuration.
///
/// # Errors
/// [`AlreadyRuns`], or what could not be done and why.
pub(crate) fn prepare(config: &ProcessConfig, pid_file: Option<&Path>) -> anyhow::Result<Prepared> {
    let user = config.identity()?;
    // The only mask that is undone nowhere: everything this process makes is made under it.
    rustix::process::umask(Mode::from_raw_mode(config.umask.bits()));
    let pid_file = pid_file.or(config.pid_file.as_deref());
    let pid_file = pid_file.map(PidFile::take).transpose()?;
    let warnings = host::raise_open_files(config.open_files);
    if let Some(user) = user {
        user.become_it()
            .with_context(|| format!("cannot become user {}", user.name()))?;
    }
    if let Some(folder) = working_directory(config) {
        env::set_current_dir(folder)
            .with_context(|| format!("cannot work in {}", folder.display()))?;
    }
    Ok(Prepared {
        _pid_file: pid_file,
        warnings: warnings.into_iter().collect(),
    })
}

/// The same for a job that is done instead of serving: what it makes has to belong to the user
/// that will serve.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepare_job(config: &ProcessConfig) -> anyhow::Result<()> {
    let no_pid_file = ProcessConfig {
        pid_file: None,
        ..config.clone()
    };
    prepare(&no_pid_file, None).map(drop)
}

/// Who this process is now, by name if the system knows one.
pub(crate) fn user_name() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// A daemon in the background keeps no folder busy that somebody may want to unmount.
fn working_directory(config: &ProcessConfig) -> Option<&Path> {
    let configured = config.working_directory.as_deref();
    configured.or_else(|| background::is_background().then_some(Path::new("/")))
}
