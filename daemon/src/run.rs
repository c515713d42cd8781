//! The life of a daemon's process, which every `main` hands itself to: arguments, configuration,
//! log, signals, the daemon itself, exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Stop;
use crate::args::{Args, JobFlag};
use crate::config::{self, ConfigError, LogConfig};
use crate::host;
use crate::logging::Log;
use crate::signals;

/// The exit code after a configuration or an argument that cannot be used.
const EXIT_CONFIG: u8 = 2;

/// The settings of one daemon.
pub trait DaemonConfig: DeserializeOwned + Serialize + Default {
    /// Refuses settings that can be read but not used.
    ///
    /// # Errors
    /// The first of them, by its key.
    fn check(&self) -> Result<(), ConfigError>;

    /// The section `[log]`.
    fn log(&self) -> &LogConfig;

    /// What the daemon can be told to do instead of serving.
    fn jobs() -> Vec<Job<Self>> {
        Vec::new()
    }
}

/// A job to be done instead of serving, such as preparing a disk or a database. Doing it again
/// must be harmless.
pub struct Job<C> {
    /// How it is asked for.
    pub flag: JobFlag,
    /// Does it; the lines that come back are for the standard output.
    pub work: fn(&C) -> anyhow::Result<Vec<String>>,
}

/// Runs the daemon `name`. `serve` gets the checked settings and returns after the stop has
/// tripped (SIGTERM, SIGINT) and all is closed. The exit code is 0, or 1 when `serve` failed, or
/// 2 when arguments or configuration cannot be used; errors are logged and told to the standard
/// error.
pub fn run<C: DaemonConfig>(
    name: &'static str,
    about: &'static str,
    serve: impl FnOnce(C, &Stop) -> anyhow::Result<()>,
) -> ExitCode {
    let flags: Vec<JobFlag> = C::jobs().iter().map(|job| job.flag).collect();
    match Args::parse_for(name, about, env!("CARGO_PKG_VERSION"), &flags) {
        Ok(args) => run_with(name, &args, serve),
        Err(answer) => print_answer(&answer),
    }
}

fn run_with<C: DaemonConfig>(
    name: &str,
    args: &Args,
    serve: impl FnOnce(C, &Stop) -> anyhow::Result<()>,
) -> ExitCode {
    let config = match load_checked::<C>(args) {
        Ok(config) => config,
        Err(error) => {
            tell(name, &error.into());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let job = C::jobs()
        .into_iter()
        .find(|job| Some(job.flag.name) == args.job);
    let result = if args.check_config {
        print_config(&config)
    } else if let Some(job) = job {
        do_job(&job, &config)
    } else {
        match Log::start(config.log()) {
            Ok(log) => return run_logged(name, config, &log, serve),
            Err(error) => Err(error.into()),
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(name, &error);
            ExitCode::FAILURE
        }
    }
}

/// The help, the version, or what is wrong with the arguments.
fn print_answer(answer: &clap::Error) -> ExitCode {
    // Nobody is left to be told when this fails.
    drop(answer.print());
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn load_checked<C: DaemonConfig>(args: &Args) -> Result<C, ConfigError> {
    let config: C = config::load(args.config.as_deref())?;
    config.check()?;
    Ok(config)
}

fn print_config<C: DaemonConfig>(config: &C) -> anyhow::Result<()> {
    let text = config::effective(config)?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn do_job<C>(job: &Job<C>, config: &C) -> anyhow::Result<()> {
    for line in (job.work)(config)? {
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// The part of the life in which there is a log.
fn run_logged<C: DaemonConfig>(
    name: &str,
    config: C,
    log: &Log,
    serve: impl FnOnce(C, &Stop) -> anyhow::Result<()>,
) -> ExitCode {
    match run_signalled(config, log, serve) {
        Ok(()) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("stopped: {error:#}");
            // A log on the standard error has told it already.
            if !log.is_stderr() {
                tell(name, &error);
            }
            ExitCode::FAILURE
        }
    }
}

fn run_signalled<C: DaemonConfig>(
    config: C,
    log: &Log,
    serve: impl FnOnce(C, &Stop) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    host::raise_open_files();
    let stop = Stop::new();
    let reopened = log.clone();
    let hooks: Vec<signals::Hook> = vec![Box::new(move || reopened.reopen())];
    let signals = signals::install(&stop, hooks).context("cannot handle signals")?;
    let result = serve(config, &stop);
    // Open until here: a second signal ends a stop that hangs.
    signals.close();
    result
}

/// Tells the standard error what ended the daemon, with all its causes.
fn tell(name: &str, error: &anyhow::Error) {
    // Nobody is left to be told when this fails.
    drop(writeln!(io::stderr(), "{name}: {error:#}"));
}

#[cfg(test)]
mod tests;
