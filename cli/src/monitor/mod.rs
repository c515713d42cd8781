//! `tnv monitor`: the cluster at a glance.

mod check;
mod idservers;
mod status_page;
mod storage_state;
mod table;
mod text;
mod view;
mod watch;

use std::process::ExitCode;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use proto::Address;

use super::args::MonitorArgs;
use super::context::Context;
use super::exit::{CliError, Exit};
use super::output::write_stdout;
use super::settings::{StatusPorts, parse_list};
use status_page::StatusPage;
use view::View;
pub(super) use view::fullness;

/// The exit code of a check without a result, as Nagios defines it.
pub(super) const UNKNOWN: u8 = 3;

pub(super) fn run(context: &Context, args: &MonitorArgs) -> anyhow::Result<ExitCode> {
    let ports = ports(context, args)?;
    if let Some(seconds) = args.watch {
        let interval = Duration::from_secs(seconds);
        watch::run(interval, || gather(context, &ports))?;
        return Ok(Exit::Ok.into());
    }
    if args.check && args.warning < args.critical {
        let text = "--warning is below --critical: it would never be told";
        return Err(CliError::usage(text).into());
    }
    let view = gather(context, &ports);
    if args.check {
        let result = check::evaluate(&view, args.warning, args.critical);
        context.output.line(&result.line);
        return Ok(ExitCode::from(result.exit));
    }
    context.output.result(&view, text::page(&view).trim_end())?;
    if view.answered() == 0 {
        return Err(CliError::unavailable("no tracker answers").into());
    }
    for error in view.errors() {
        let error = anyhow::anyhow!(error);
        context.output.diagnostics().error(&error, None, false);
    }
    Ok(context.output.exit(Exit::Ok).into())
}

/// Ends a check that could not begin: prints one line to the standard output and returns 3.
pub(super) fn unknown(error: &anyhow::Error) -> ExitCode {
    let text = check::line("UNKNOWN", &[format!("{error:#}")], "");
    // There is no other output for an error of this write.
    let _ = write_stdout(format!("{text}\n").as_bytes());
    ExitCode::from(UNKNOWN)
}

/// The status ports to ask. A list of the command line replaces that of the settings file.
fn ports(context: &Context, args: &MonitorArgs) -> Result<StatusPorts, CliError> {
    let of_file = &context.settings.monitor;
    let list = |typed: &Option<String>, of_file: &Vec<Address>| match typed {
        Some(list) => parse_list(list),
        None => Ok(of_file.clone()),
    };
    Ok(StatusPorts {
        idservers: list(&args.idservers, &of_file.idservers)?,
        httpds: list(&args.httpds, &of_file.httpds)?,
    })
}

/// Asks all trackers and status ports in parallel, so that silent ones share one time-out.
fn gather(context: &Context, ports: &StatusPorts) -> View {
    let client = &context.client;
    let trackers = &context.settings.client.trackers;
    let connection = &context.settings.client.connection;
    let idservers = ports.idservers.iter().map(|address| ("idserver", address));
    let httpds = ports.httpds.iter().map(|address| ("httpd", address));
    let (answers, pages) = thread::scope(|scope| {
        let asked: Vec<_> = trackers
            .iter()
            .map(|tracker| scope.spawn(|| client.cluster_of(tracker)))
            .collect();
        let ask = |(role, address)| scope.spawn(move || StatusPage::ask(role, address, connection));
        let pages: Vec<_> = idservers.chain(httpds).map(ask).collect();
        let answers = asked.into_iter().zip(trackers).map(|(thread, tracker)| {
            let answer = join(thread).and_then(|answer| answer.map_err(|error| error.chain()));
            (tracker.clone(), answer)
        });
        let answers = answers.collect();
        let pages = pages.into_iter().filter_map(|thread| join(thread).ok());
        (answers, pages.collect())
    });
    View::new(answers, pages)
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, String> {
    thread
        .join()
        .map_err(|_| "the question panicked".to_owned())
}
