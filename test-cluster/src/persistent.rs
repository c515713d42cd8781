//! A cluster that outlives the program that starts it. `/proc` tells which daemons run; nothing but
//! the folder is remembered.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rustix::process::Signal;
use test_support::process::Process;

use crate::binaries::Binaries;
use crate::engines;
use crate::layout::{Engine, Layout};
use crate::manifest::Manifest;
use crate::plan::{Node, Plan, Role};
use crate::probe;
use crate::start_guard::StartGuard;
use crate::terminal::tell;

/// Longest wait for daemons to be ready.
const START: Duration = Duration::from_secs(60);
/// Longest wait for the daemons of one role to end. Requests in flight have 30 s of it.
const STOP: Duration = Duration::from_secs(40);

/// A node and the process that runs it, if one does.
type Member = (Node, Option<Process>);

/// Starts the daemons of the cluster in `folder` that do not run. Every daemon is ready when this
/// returns. If nothing of the cluster ran before and this program ends early, the cluster is stopped.
///
/// # Errors
/// A daemon ends at its start or is not ready in time. Then the daemons that this call has started
/// are killed.
pub fn up(layout: &Layout, folder: &Path, binaries: &Binaries) -> anyhow::Result<Plan> {
    let (plan, mut members) = plan_for(layout, folder)?;
    let engines_ran = engines::is_running(&plan)?;
    if engines_ran || members.iter().any(|(_, process)| process.is_some()) {
        return start(plan, &mut members, engines_ran, binaries);
    }
    let guard = StartGuard::start(folder)?;
    let started = start(plan, &mut members, engines_ran, binaries);
    guard.release()?;
    started
}

/// Starts the engines and the daemons that do not run.
fn start(
    plan: Plan,
    members: &mut [Member],
    engines_ran: bool,
    binaries: &Binaries,
) -> anyhow::Result<Plan> {
    let begun = Instant::now();
    let engines = engines::up(&plan).inspect_err(|_| {
        if !engines_ran {
            // The error of the start tells more.
            let _ = engines::stop(&plan);
        }
    })?;
    if !engines.is_empty() {
        let took = begun.elapsed();
        tell(format_args!("started {} in {took:.1?}", engines.join(", ")));
    }
    let missing = tell_missing(members, engines.is_empty());
    if !missing.is_empty() {
        engines::prepare(&plan, binaries)?;
    }
    start_missing(&plan, members, binaries).inspect_err(|_| give_up(members, &missing))?;
    save(&plan, members)?;
    if !missing.is_empty() {
        tell(format_args!("all ready after {:.1?}", begun.elapsed()));
    }
    Ok(plan)
}

/// Prints and returns the names of the daemons that do not run. `engines_run` is false if a part of
/// the engines was missing.
fn tell_missing(members: &[Member], engines_run: bool) -> Vec<String> {
    let missing = members.iter().filter(|(_, process)| process.is_none());
    let missing: Vec<String> = missing.map(|(node, _)| node.name.clone()).collect();
    if missing.is_empty() && engines_run {
        tell("the cluster is running already, nothing to start");
    } else if missing.len() == members.len() {
        tell(format_args!("starting {} daemons", missing.len()));
    } else if !missing.is_empty() {
        tell(format_args!(
            "the cluster is running in part, starting {}",
            missing.join(", ")
        ));
    }
    missing
}

fn save(plan: &Plan, members: &[Member]) -> anyhow::Result<()> {
    let pid_of = |node: &Node| {
        let member = members.iter().find(|(other, _)| other == node);
        member
            .and_then(|(_, process)| process.as_ref())
            .map_or(0, Process::pid)
    };
    let parts = engines::parts(plan)?.into_iter();
    let engines = parts.filter_map(|part| Some((part.name, part.pid?)));
    Manifest::of(plan, pid_of, engines.collect()).save(&plan.folder)
}

/// Prints a line for each daemon and each part of the engines: role, name, address, process id and
/// state.
///
/// # Errors
/// A daemon or a part is down or not ready.
pub fn status(folder: &Path) -> anyhow::Result<()> {
    let Some(plan) = Plan::load(folder)? else {
        bail!("{} has no cluster", folder.display());
    };
    let mut n_bad = 0;
    for (node, process) in find(&plan)? {
        let pid = process.as_ref().map(Process::pid);
        let state = match process.map(|_| probe::ready(&plan, &node)) {
            None => "down".to_owned(),
            Some(Ok(())) => "ready".to_owned(),
            Some(Err(e)) => format!("running, not ready: {e:#}"),
        };
        n_bad += usize::from(state != "ready");
        tell(format_args!(
            "{:<9} {:<13} {:<21} {:<8} {:<7} {state}",
            node.role.as_str(),
            node.name,
            node.addr,
            node.group.as_deref().unwrap_or("-"),
            pid.map_or("-".to_owned(), |pid| pid.to_string()),
        ));
    }
    let parts = engines::parts(&plan)?;
    let n_all = plan.nodes.len() + parts.len();
    for part in parts {
        let state = match (part.pid, part.trouble) {
            (None, _) => "down".to_owned(),
            (Some(_), None) => "ready".to_owned(),
            (Some(_), Some(trouble)) => format!("running, not ready: {trouble}"),
        };
        n_bad += usize::from(state != "ready");
        tell(format_args!(
            "{:<9} {:<44} {:<7} {state}",
            part.kind,
            part.name,
            part.pid.map_or("-".to_owned(), |pid| pid.to_string()),
        ));
    }
    match n_bad {
        0 => Ok(()),
        n => bail!("{n} of {n_all} are not ready"),
    }
}

/// Stops the cluster in `folder`. A daemon stops before the daemons that it uses.
///
/// # Errors
/// The message names daemons that did not end in time. All others are stopped.
pub fn stop(folder: &Path) -> anyhow::Result<()> {
    let Some(plan) = Plan::load(folder)? else {
        tell("no cluster is running");
        return Ok(());
    };
    let mut members = find(&plan)?;
    let mut n_stopped = 0;
    let mut left = Vec::new();
    for role in Role::STOP_ORDER {
        let running = members.iter_mut().filter(|(node, _)| node.role == role);
        let mut running: Vec<(&Node, &mut Process)> = running
            .filter_map(|(node, process)| Some((&*node, process.as_mut()?)))
            .collect();
        for (_, process) in &running {
            process.signal(Signal::TERM)?;
        }
        let deadline = Instant::now() + STOP;
        for (node, process) in &mut running {
            let timeout = deadline.saturating_duration_since(Instant::now());
            match process.wait(timeout)? {
                Some(_) => n_stopped += 1,
                None => left.push(format!("{} (process {})", node.name, process.pid())),
            }
        }
    }
    if !left.is_empty() {
        bail!("did not stop: {}", left.join(", "));
    }
    let n_engines = engines::stop(&plan)?;
    Manifest::remove(&plan.folder)?;
    match (n_stopped, n_engines) {
        (0, 0) => tell("no cluster is running"),
        (n, 0) => tell(format_args!("stopped {n} daemons")),
        (n, _) => tell(format_args!("stopped {n} daemons, Galera and GlusterFS")),
    }
    Ok(())
}

/// The saved plan if a daemon of it runs. Otherwise a new one, because other programs may have taken
/// the ports.
fn plan_for(layout: &Layout, folder: &Path) -> anyhow::Result<(Plan, Vec<Member>)> {
    if let Some(plan) = Plan::load(folder)? {
        let members = find(&plan)?;
        let is_any = members.iter().any(|(_, process)| process.is_some());
        if is_any || engines::is_running(&plan)? {
            ensure!(
                plan.is_full() == (layout.engine == Engine::Full),
                "a cluster with another engine is running: stop it first, make cluster-stop"
            );
            return Ok((plan, members));
        }
    }
    let plan = Plan::make(layout, folder)?;
    let members = plan.nodes.iter().map(|node| (node.clone(), None)).collect();
    Ok((plan, members))
}

fn find(plan: &Plan) -> anyhow::Result<Vec<Member>> {
    let find = |node: &Node| Ok((node.clone(), plan.process(node)?));
    plan.nodes.iter().map(find).collect()
}

fn start_missing(plan: &Plan, members: &mut [Member], binaries: &Binaries) -> anyhow::Result<()> {
    // Trackers first: a storage that finds none tries again only after 2 s.
    for role in Role::ALL {
        let missing = members.iter_mut().filter(|(_, process)| process.is_none());
        for (node, process) in missing.filter(|(node, _)| node.role == role) {
            *process = Some(plan.spawn(node, binaries)?);
        }
        let mut watch = || check_alive(plan, members);
        probe::wait_ready(plan, plan.of(role), START, &mut watch)?;
    }
    Ok(())
}

fn check_alive(plan: &Plan, members: &mut [Member]) -> anyhow::Result<()> {
    for (node, process) in members {
        if let Some(process) = process
            && let Some(exit) = process.wait(Duration::ZERO)?
        {
            bail!("{} ended with {exit:?}{}", node.name, plan.log_end(node));
        }
    }
    Ok(())
}

/// Kills the daemons that were started for a cluster that did not come up.
fn give_up(members: &[Member], started: &[String]) {
    for (node, process) in members {
        if let Some(process) = process
            && started.contains(&node.name)
        {
            // The error of the start tells more.
            let _ = process.signal(Signal::KILL);
        }
    }
}
