//! `tnv monitor`: the cluster at a glance.

mod check;
mod table;
mod text;
mod view;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use super::Context;
use super::args::MonitorArgs;
use super::exit::{Exit, Mistake};
use super::output::{print_error, write_stdout};
use view::View;

/// How a check ends that cannot tell: as Nagios has it.
pub(super) const UNKNOWN: u8 = 3;

pub(super) fn run(context: &Context, args: &MonitorArgs) -> anyhow::Result<ExitCode> {
    if let Some(seconds) = args.watch {
        let interval = Duration::from_secs(seconds);
        watch::run(interval, || gather(context))?;
        return Ok(Exit::Ok.into());
    }
    if args.check && args.warning < args.critical {
        let text = "--warning is below --critical: it would never be told";
        return Err(Mistake::usage(text).into());
    }
    let view = gather(context);
    if args.check {
        let verdict = check::judge(&view, args.warning, args.critical);
        write_stdout(format!("{}\n", verdict.line).as_bytes())?;
        return Ok(ExitCode::from(verdict.exit));
    }
    context.output.result(&view, text::page(&view).trim_end())?;
    if view.answered() == 0 {
        return Err(Mistake::unavailable("no tracker answers").into());
    }
    for error in view.errors() {
        print_error(&anyhow::anyhow!(error));
    }
    Ok(Exit::Ok.into())
}

/// What a check says that could not even begin: a line on the standard output, and 3.
pub(super) fn unknown(error: &anyhow::Error) -> ExitCode {
    let text = check::line("UNKNOWN", &[format!("{error:#}")], "");
    // Nobody is left to be told when this fails.
    let _ = write_stdout(format!("{text}\n").as_bytes());
    ExitCode::from(UNKNOWN)
}

/// Asks every tracker, all at once: one that is silent costs its own time only.
fn gather(context: &Context) -> View {
    let client = &context.client;
    let trackers = &context.settings.client.trackers;
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = trackers
            .iter()
            .map(|tracker| scope.spawn(|| client.cluster_of(tracker)))
            .collect();
        let joined = threads.into_iter().zip(trackers);
        joined
            .map(|(thread, tracker)| {
                let answer = match thread.join() {
                    Ok(answer) => answer.map_err(|error| error.chain()),
                    Err(_) => Err("the question panicked".to_owned()),
                };
                (tracker.clone(), answer)
            })
            .collect()
    });
    View::new(answers)
}
