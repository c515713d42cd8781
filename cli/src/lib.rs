//! The command line: what was typed becomes calls of the library, results go to stdout, failures
//! to stderr and into the exit code.

mod admin;
mod args;
mod bench;
mod download;
mod exit;
mod monitor;
mod output;
mod part;
mod progress;
mod queries;
mod settings;
mod source_file;
mod stream;
mod units;
mod upload;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use client::Client;

use args::{Args, Command};
use exit::{Exit, Failures};
use output::Output;
use settings::Settings;

/// Longest wait of a check for a silent tracker: who runs checks waits for ten seconds at most.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What every subcommand works with.
struct Context {
    client: Client,
    settings: Settings,
    output: Output,
}

/// What the command line accepts: its manual and the completion of shells are made from it.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    init_log(args.global.verbose);
    let is_check = args.command.is_check();
    match run(args) {
        Ok(exit) => exit,
        Err(error) if exit::is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) if is_check => monitor::unknown(&error),
        Err(error) => {
            output::print_error(&error);
            exit::of(&error).into()
        }
    }
}

/// The help, the version, or what is wrong with the arguments. For who runs checks 2 means critical,
/// and a mistake in the arguments is none.
fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when this fails.
    drop(error.print());
    if error.use_stderr() && std::env::args_os().any(|arg| arg == "--check") {
        return ExitCode::from(monitor::UNKNOWN);
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    if args.command.is_check() {
        args.global.timeout.get_or_insert(CHECK_TIMEOUT);
    }
    let settings = Settings::load(&args.global)?;
    let context = Context {
        client: Client::new(settings.client.clone()),
        output: Output::new(&args.global, args.command.has_effects()),
        settings,
    };
    let mut failures = Failures::default();
    match &args.command {
        Command::Upload(args) => upload::run(&context, args, &mut failures)?,
        Command::Download(args) => download::run(&context, args)?,
        Command::Stat(ids) => queries::stat(&context, ids, &mut failures)?,
        Command::Delete(ids) => queries::delete(&context, ids, &mut failures)?,
        Command::Groups => queries::groups(&context)?,
        Command::Bench(args) => {
            let exit = bench::run(&context, args)?;
            return Ok(context.output.exit(exit).into());
        }
        Command::Admin(args) => admin::run(&context, args, &mut failures)?,
        Command::Monitor(args) => return monitor::run(&context, args),
    }
    Ok(context.output.exit(failures.exit()).into())
}

fn init_log(verbosity: u8) {
    let level = match verbosity {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new().filter_level(level).init();
}
