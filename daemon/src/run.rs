//! Runs a daemon from `main` on: arguments, configuration, process, log, signals, the daemon, exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use base::Stop;
use base::config::ConfigError;
use crossbeam_channel::{Sender, bounded};

use crate::application::{Application, Running};
use crate::args::{self, Args};
use crate::config::{Config, Settings};
use crate::handle::{DaemonHandle, Reloader};
use crate::job::{Job, JobFlag};
use crate::logging::Log;
use crate::metrics::VERSION;
use crate::process::background::{self, Started};
use crate::process::{self, AlreadyRuns, Notifier};
use crate::signals;

/// The exit code after a configuration or an argument that cannot be used.
const EXIT_CONFIG: u8 = 2;
/// The exit code if the daemon runs already, according to its pid file.
const EXIT_RUNS: u8 = 3;

/// Serves with these settings until the stop.
type Serve<S> = fn(Config<S>, &mut DaemonHandle<S>) -> anyhow::Result<()>;

/// The command line of a daemon; its manual is made from it.
pub fn command<A: Application>() -> clap::Command {
    args::command(A::NAME, A::ABOUT, VERSION, &job_flags::<A::Settings>())
}

fn job_flags<S: Settings>() -> Vec<JobFlag> {
    S::jobs().iter().map(|job| job.flag).collect()
}

/// Runs a daemon. Errors go to the log and the standard error. The exit code is
/// - 0: clean stop (with `--daemon`: it serves in the background);
/// - 1: it could not serve, or was stopped by a second signal;
/// - 2: arguments or configuration cannot be used;
/// - 3: it runs already, according to its pid file.
pub fn run<A: Application>() -> ExitCode {
    let flags = job_flags::<A::Settings>();
    match Args::read(command::<A>(), &flags, std::env::args_os()) {
        Ok(args) if args.daemon => run_in_background(A::NAME),
        Ok(args) => run_with(A::NAME, &args, Running::<A>::run),
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

fn run_with<S: Settings>(name: &str, args: &Args, serve: Serve<S>) -> ExitCode {
    if background::is_background() {
        background::leave_terminal();
    }
    let result = Config::<S>::load(args.config.as_deref()).map_err(anyhow::Error::from);
    let job = S::jobs()
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

fn print_config<S: Settings>(config: &Config<S>) -> anyhow::Result<ExitCode> {
    io::stdout().write_all(config.checked()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn run_job<S: Settings>(job: &Job<Config<S>>, config: &Config<S>) -> anyhow::Result<ExitCode> {
    process::prepare_job(&config.process)?;
    (job.work)(config, &mut io::stdout())
}

/// Runs from a checked configuration to the end. Returns errors that occur before the log is open.
fn live<S: Settings>(
    name: &str,
    config: Config<S>,
    args: &Args,
    serve: Serve<S>,
) -> anyhow::Result<ExitCode> {
    config.log.check(background::is_background())?;
    // Before the working folder changes.
    let path = args
        .config
        .as_deref()
        .map(std::path::absolute)
        .transpose()?;
    let prepared = process::prepare(&config.process, args.pid_file.as_deref())?;
    // Check again as the user that serves: it may not read all that root may.
    config.check()?;
    let log = Log::start(&config.log)?;
    for warning in &prepared.warnings {
        log::warn!("{warning}");
    }
    let reloader = Reloader::new(path, &config, log);
    Ok(run_logged(name, config, reloader, serve))
}

/// Runs with an open log.
fn run_logged<S: Settings>(
    name: &str,
    config: Config<S>,
    reloader: Reloader<S>,
    serve: Serve<S>,
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

fn run_signalled<S: Settings>(
    config: Config<S>,
    reloader: Reloader<S>,
    serve: Serve<S>,
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

/// Adds the user to a permission error: it may not be the user that started the daemon.
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
