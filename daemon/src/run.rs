//! Runs a daemon from `main` on: arguments, configuration, process, log, signals, the daemon, exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use base::Stop;
use base::config::ConfigError;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use net::ServerConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{self, Args, JobFlag};
use crate::config;
use crate::logging::{Log, LogConfig};
use crate::metrics::IntCounter;
use crate::process::background::{self, Started};
use crate::process::{self, AlreadyRuns, Notifier, ProcessConfig};
use crate::signals;

use reload::Reloader;

mod reload;

/// The exit code after a configuration or an argument that cannot be used.
const EXIT_CONFIG: u8 = 2;
/// The exit code if the daemon runs already, according to its pid file.
const EXIT_RUNS: u8 = 3;

/// Longest time of a stop beyond `stop_timeout`: a storage leaves the trackers before, threads and
/// databases are closed after it. A little more than the sum of their deadlines.
const STOP_REST: Duration = Duration::from_secs(25);

/// The settings of one daemon.
pub trait DaemonConfig: DeserializeOwned + Serialize + Default + Clone {
    /// The settings after a reload of `new`: those that a running daemon can change are from `new`, among
    /// them `[log]` and [`ServerConfig::reloaded`]. Others need a restart and are from `self`.
    #[must_use]
    fn reloaded(&self, new: &Self) -> Self;

    /// Refuses unusable values.
    ///
    /// # Errors
    /// The first of them, by its key.
    fn check(&self) -> Result<(), ConfigError>;

    /// The section `[server]`.
    fn server(&self) -> &ServerConfig;

    /// The section `[log]`.
    fn log(&self) -> &LogConfig;

    /// The section `[process]`.
    fn process(&self) -> &ProcessConfig;

    /// Jobs that the daemon can do instead of serving.
    fn jobs() -> Vec<Job<Self>> {
        Vec::new()
    }
}

/// A job to do instead of serving, such as preparing a disk or a database. It must be idempotent.
pub struct Job<C> {
    /// Its flag on the command line.
    pub flag: JobFlag,
    /// Does the job and writes to the standard output. Returns the exit code.
    pub work: fn(&C, &mut dyn Write) -> anyhow::Result<ExitCode>,
}

/// Writes the lines of a job.
///
/// # Errors
/// The output is closed.
pub fn job_done(lines: Vec<String>, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The running process: signals of the operator, and notifications to its starter.
pub struct DaemonHandle<C> {
    stop: Stop,
    hangups: Receiver<()>,
    notifier: Notifier,
    reloader: Reloader<C>,
}

impl<C: DaemonConfig> DaemonHandle<C> {
    /// Notifies the starter that the daemon serves, and returns at a stop (SIGTERM, SIGINT). On SIGHUP reads
    /// the configuration again and passes [`DaemonConfig::reloaded`] to `reload`; if that fails, the daemon
    /// keeps its settings.
    pub fn serve(&mut self, mut reload: impl FnMut(&C) -> anyhow::Result<()>) {
        self.tell_ready();
        loop {
            select! {
                recv(self.stop.channel()) -> _ => break,
                recv(self.hangups) -> _ => {
                    self.notifier.reloading();
                    self.reloader.reload(&mut reload);
                    self.notifier.ready();
                }
            }
        }
        log::info!("stopping");
        self.notifier
            .stopping(self.reloader.stop_timeout() + STOP_REST);
    }

    /// The counter of log lines that could not be written, for [`Metrics::adopt`].
    ///
    /// [`Metrics::adopt`]: crate::metrics::Metrics::adopt
    pub fn lost_log_lines(&self) -> IntCounter {
        self.reloader.log().lost()
    }

    fn tell_ready(&self) {
        self.notifier.ready();
        if background::is_background()
            && let Err(e) = background::tell_starter()
        {
            log::warn!("the standard streams stay open: {e}");
        }
    }
}

/// The command line of the daemon `name`; its manual is made from it.
pub fn command<C: DaemonConfig>(name: &'static str, about: &'static str) -> clap::Command {
    args::command(name, about, env!("CARGO_PKG_VERSION"), &job_flags::<C>())
}

fn job_flags<C: DaemonConfig>() -> Vec<JobFlag> {
    C::jobs().iter().map(|job| job.flag).collect()
}

/// Runs the daemon `name`. `serve` gets the checked settings, starts, calls [`DaemonHandle::serve`] and
/// closes everything when that returns. Errors go to the log and the standard error. The exit code is
/// - 0: clean stop (with `--daemon`: it serves in the background);
/// - 1: it could not serve, or was stopped by a second signal;
/// - 2: arguments or configuration cannot be used;
/// - 3: it runs already, according to its pid file.
pub fn run<C: DaemonConfig>(
    name: &'static str,
    about: &'static str,
    serve: impl FnOnce(C, &mut DaemonHandle<C>) -> anyhow::Result<()>,
) -> ExitCode {
    let flags = job_flags::<C>();
    match Args::parse_for(name, about, env!("CARGO_PKG_VERSION"), &flags) {
        Ok(args) if args.daemon => run_in_background(name),
        Ok(args) => run_with(name, &args, serve),
        Err(answer) => print_answer(&answer),
    }
}

fn run_in_background(name: &str) -> ExitCode {
    match background::start() {
        Ok(Started::Serving) => ExitCode::SUCCESS,
        Ok(Started::Failed(code)) => ExitCode::from(code),
        Err(error) => {
            print_error(name, &error);
            ExitCode::FAILURE
        }
    }
}

fn run_with<C: DaemonConfig>(
    name: &str,
    args: &Args,
    serve: impl FnOnce(C, &mut DaemonHandle<C>) -> anyhow::Result<()>,
) -> ExitCode {
    if background::is_background() {
        background::leave_terminal();
    }
    let result = load_checked::<C>(args).map_err(anyhow::Error::from);
    let job = C::jobs()
        .into_iter()
        .find(|job| Some(job.flag.name) == args.job);
    let result = result.and_then(|config| {
        if args.check_config {
            print_config(&config)
        } else if let Some(job) = job {
            run_job(&job, &config)
        } else {
            live(name, config, args, serve)
        }
    });
    result.map_err(name_user).unwrap_or_else(|error| {
        print_error(name, &error);
        exit_code(&error)
    })
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigError>() {
        ExitCode::from(EXIT_CONFIG)
    } else if error.is::<AlreadyRuns>() {
        ExitCode::from(EXIT_RUNS)
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the help, the version, or the error in the arguments.
fn print_answer(answer: &clap::Error) -> ExitCode {
    // A closed stream cannot be reported anywhere.
    drop(answer.print());
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn load_checked<C: DaemonConfig>(args: &Args) -> Result<C, ConfigError> {
    let config: C = config::load(args.config.as_deref())?;
    config.check()?;
    config.process().check()?;
    Ok(config)
}

fn print_config<C: DaemonConfig>(config: &C) -> anyhow::Result<ExitCode> {
    let text = config::effective(config)?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn run_job<C: DaemonConfig>(job: &Job<C>, config: &C) -> anyhow::Result<ExitCode> {
    process::prepare_job(config.process())?;
    (job.work)(config, &mut io::stdout())
}

/// Runs from a checked configuration to the end. Returns errors that occur before the log is open.
fn live<C: DaemonConfig>(
    name: &str,
    config: C,
    args: &Args,
    serve: impl FnOnce(C, &mut DaemonHandle<C>) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    check_log(config.log(), background::is_background())?;
    // Before the working folder changes.
    let path = args
        .config
        .as_deref()
        .map(std::path::absolute)
        .transpose()?;
    let prepared = process::prepare(config.process(), args.pid_file.as_deref())?;
    // Check again as the user that serves: it may not read all that root may.
    config.check()?;
    let log = Log::start(config.log())?;
    for warning in &prepared.warnings {
        log::warn!("{warning}");
    }
    let reloader = Reloader::new(path, &config, log);
    Ok(run_logged(name, config, reloader, serve))
}

/// Refuses the standard error as the log of a background process.
fn check_log(config: &LogConfig, is_background: bool) -> Result<(), ConfigError> {
    if is_background && config.is_stderr() {
        let reason = "is needed with --daemon, which leaves the standard error";
        return Err(ConfigError::invalid("log.file", reason));
    }
    Ok(())
}

/// Runs with an open log.
fn run_logged<C: DaemonConfig>(
    name: &str,
    config: C,
    reloader: Reloader<C>,
    serve: impl FnOnce(C, &mut DaemonHandle<C>) -> anyhow::Result<()>,
) -> ExitCode {
    let log = reloader.log();
    let ended = run_signalled(config, reloader, serve);
    let code = match ended.map_err(name_user) {
        Ok(()) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("stopped: {error:#}");
            // A log on the standard error has it already.
            if !log.is_stderr() {
                print_error(name, &error);
            }
            exit_code(&error)
        }
    };
    // No request is served any more: this includes all lines of the access log.
    log::logger().flush();
    code
}

fn run_signalled<C: DaemonConfig>(
    config: C,
    reloader: Reloader<C>,
    serve: impl FnOnce(C, &mut DaemonHandle<C>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = Stop::new();
    // Two hangups before a reload cause one reload.
    let (hangup, hangups) = bounded(1);
    let hooks = on_hangup(reloader.log(), hangup);
    let signals = signals::install(&stop, hooks).context("cannot handle signals")?;
    let mut handle = DaemonHandle {
        stop,
        hangups,
        notifier: Notifier::from_env(),
        reloader,
    };
    let result = serve(config, &mut handle);
    // Open until here, so that a second signal ends a stop that hangs.
    signals.close();
    result
}

/// The signal thread reopens log files, also while a daemon starts or stops. The main thread does the
/// rest, so that no signal waits for it.
fn on_hangup(log: Log, hangup: Sender<()>) -> Vec<signals::Hook> {
    vec![
        Box::new(move || log.reopen()),
        Box::new(move || {
            // A full channel means that a reload is due anyway.
            let _ = hangup.try_send(());
        }),
    ]
}

/// Adds the user to a permission error: it is throttle the user that started the daemon.
fn name_user(error: anyhow::Error) -> anyhow::Error {
    let is_denied = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::PermissionDenied)
    };
    if !error.chain().any(is_denied) {
        return error;
    }
    let user = process::user_name();
    error.context(format!("not permitted to user {user}"))
}

/// Prints the error and all its causes to the standard error.
fn print_error(name: &str, error: &anyhow::Error) {
    // A closed stream cannot be reported anywhere.
    drop(writeln!(io::stderr(), "{name}: {error:#}"));
}

#[cfg(test)]
mod tests;
