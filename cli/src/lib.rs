//! The command `tnv`: runs one subcommand with the client library. Results go to stdout, failures to
//! stderr and into the exit code.
//!
//! The crate owns everything about the terminal: arguments, settings files, progress bars, output.
//! All work runs on the main thread, except: `many` works on several files at a time, and `monitor`
//! asks servers, on short-lived threads; `monitor` has a thread for signals; `bench` starts the threads
//! of crate `bench`.
//!
//! The modules in reading order: `args` and `settings` hold the input, `output`, `diagnostics`, `exit` and `failures`
//! the result, `context` what each subcommand needs. Then one module for each subcommand: `upload` with
//! `source_file`, `download` with `partial_file` and `stream`, `set` of both with `folder` and `many`, `list`,
//! `delete`, `stat_groups`, `admin`, `monitor`,
//! `bench`.

mod admin;
mod args;
mod bench;
mod context;
mod delete;
mod diagnostics;
mod download;
mod exit;
mod failures;
mod folder;
mod list;
mod many;
mod monitor;
mod output;
mod partial_file;
mod progress;
mod set;
mod settings;
mod sign;
mod source_file;
mod stat_groups;
mod stream;
mod units;
mod upload;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use client::Client;

use args::{Args, Command};
use context::Context;
use diagnostics::Diagnostics;
use exit::Exit;
use failures::Failures;
use output::Output;
use settings::Settings;

/// Timeout of a check. A monitoring system waits for ten seconds at most.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The definition of the command line, for its manual and shell completions.
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
    let diagnostics = Diagnostics::new(&args);
    match run(args) {
        Ok(exit) => exit,
        Err(error) if output::is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) if is_check => monitor::unknown(&error),
        Err(error) => {
            diagnostics.error(&error, None, true);
            exit::of(&error).into()
        }
    }
}

/// Prints the help, the version or an error of the arguments. A check with wrong arguments ends with
/// UNKNOWN, because code 2 means CRITICAL to a monitoring system.
fn refuse(error: &clap::Error) -> ExitCode {
    Diagnostics::of_unparsed(error);
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
        output: Output::new(&args),
        settings,
    };
    let mut failures = Failures::new(context.output.diagnostics());
    match &args.command {
        Command::Upload(args) => match &args.prefix {
            Some(prefix) => set::upload(&context, args, prefix, &mut failures)?,
            None => upload::run(&context, args, &mut failures)?,
        },
        Command::Download(args) => match &args.prefix {
            Some(prefix) => set::download(&context, args, prefix, &mut failures)?,
            None => download::run(&context, args)?,
        },
        Command::Stat(ids) => stat_groups::stat(&context, ids, &mut failures)?,
        Command::Delete(args) => delete::run(&context, args, &mut failures)?,
        Command::List(args) => list::list(&context, args)?,
        Command::Usage(args) => list::usage(&context, args)?,
        Command::Groups => stat_groups::groups(&context)?,
        Command::Bench(args) => {
            let exit = bench::run(&context, args)?;
            return Ok(context.output.exit(exit).into());
        }
        Command::Sign(args) => sign::run(&context, args)?,
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
