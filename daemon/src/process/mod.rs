//! Prepares the process of a daemon: background, pid file, working folder, limits, user. All on the main
//! thread, before there is another one.
//!
//! The order matters. Root takes the pid file, in `/run`. The user is changed before any log, database or
//! store file is made, so that these belong to the user. The right to bind ports below 1024, and no
//! other, is kept over the change of user, so that ports can be bound later.

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

/// Result of [`prepare`]; holds the pid file until it is dropped.
#[derive(Debug)]
pub(crate) struct Prepared {
    _pid_file: Option<PidFile>,
    /// Warnings for the log, which is not open yet.
    pub(crate) warnings: Vec<String>,
}

/// Prepares this process as configured. `pid_file` of the command line overrides the configuration.
///
/// # Errors
/// [`AlreadyRuns`], or the step that failed and why.
pub(crate) fn prepare(config: &ProcessConfig, pid_file: Option<&Path>) -> anyhow::Result<Prepared> {
    let user = config.identity()?;
    // Applies to every file that this process makes.
    rustix::process::umask(Mode::from_raw_mode(config.umask.bits()));
    let pid_file = pid_file.or(config.pid_file.as_deref());
    let pid_file = pid_file.map(PidFile::take).transpose()?;
    let warnings = host::raise_open_files(config.open_files);
    if let Some(user) = user {
        user.apply()
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

/// The same for a job, without the pid file: its files must belong to the user that will serve.
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

/// The user of this process, by name if it has one.
pub(crate) fn user_name() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// The working folder; `/` in the background, which keeps no volume from being unmounted.
fn working_directory(config: &ProcessConfig) -> Option<&Path> {
    let configured = config.working_directory.as_deref();
    configured.or_else(|| background::is_background().then_some(Path::new("/")))
}
