//! The command line: what was typed becomes calls of the library, results go to stdout, failures
//! to stderr and into the exit code.

mod args;
mod bench;
mod download;
mod exit;
mod output;
mod part;
mod progress;
mod queries;
mod settings;
mod units;
mod upload;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::Client;
use args::{Args, Command};
use exit::{Exit, Failures};
use output::Output;
use settings::Settings;

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
    let args = Args::parse();
    init_log(args.global.verbose);
    match run(args) {
        Ok(exit) => exit.into(),
        Err(error) if exit::is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            output::print_error(&error);
            exit::of(&error).into()
        }
    }
}

fn run(args: Args) -> anyhow::Result<Exit> {
    let settings = Settings::load(&args.global)?;
    let context = Context {
        client: Client::new(settings.client.clone()),
        output: Output::new(&args.global),
        settings,
    };
    let mut failures = Failures::default();
    match &args.command {
        Command::Upload(args) => upload::run(&context, args, &mut failures)?,
        Command::Download(args) => download::run(&context, args)?,
        Command::Stat(ids) => queries::stat(&context, ids, &mut failures)?,
        Command::Delete(ids) => queries::delete(&context, ids, &mut failures)?,
        Command::Groups => queries::groups(&context)?,
        Command::Bench(args) => return bench::run(&context, args),
    }
    Ok(failures.exit())
}

fn init_log(verbosity: u8) {
    let level = match verbosity {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new().filter_level(level).init();
}
