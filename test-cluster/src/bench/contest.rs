//! Rounds in turn: ours, the limit, ours beside idle connections, ours with many rows. Each round
//! begins with another one, so that none always comes behind the same.

use super::holder;
use super::measured::{Measured, View};
use super::row::{Better, Row};
use super::stand::Stand;
use super::stats::Summary;
use super::trio::Trio;
use crate::terminal::tell;

/// Least part of its speed that a row keeps beside idle connections, and with many rows.
const KEPT: f64 = 0.9;
/// Who takes turns.
const N_CONTESTANTS: usize = 4;

/// The rounds of one row.
pub(super) struct Contest {
    name: String,
    ours: Vec<Measured>,
    reference: Vec<Measured>,
    busy: Vec<Measured>,
    old: Vec<Measured>,
}

impl Contest {
    /// Measures so many rounds.
    ///
    /// # Errors
    /// Any operation failed, or any byte was wrong.
    pub(super) fn run(
        name: &str,
        n_rounds: usize,
        trio: &Trio,
        ours: &dyn Fn(&Stand) -> anyhow::Result<Measured>,
        reference: &mut dyn FnMut() -> anyhow::Result<Measured>,
    ) -> anyhow::Result<Contest> {
        tell(format_args!("measuring {name}"));
        let mut contest = Contest {
            name: name.to_owned(),
            ours: Vec::new(),
            reference: Vec::new(),
            busy: Vec::new(),
            old: Vec::new(),
        };
        for idx in 0..n_rounds * N_CONTESTANTS {
            // What the one before has written must not slow this one down.
            rustix::fs::sync();
            match (idx + idx / N_CONTESTANTS) % N_CONTESTANTS {
                0 => contest.ours.push(ours(&trio.new)?),
                1 => contest.reference.push(reference()?),
                2 => contest.busy.push(ours(&trio.busy)?),
                _ => contest.old.push(ours(&trio.old)?),
            }
        }
        Ok(contest)
    }

    /// The row of a view against the limit, with the processor time of both beside it.
    pub(super) fn row(&self, view: View, against: &str) -> Row {
        let reference = (against, view.of(&self.reference));
        let mut row = Row::new(
            &self.name,
            view.unit(),
            better(view),
            view.of(&self.ours),
            reference,
        );
        let (cpu, per) = match view {
            View::Bytes => (View::CpuPerGb, "GB"),
            _ => (View::CpuPer1000, "1000"),
        };
        let median = |rounds: &[Measured]| cpu.of(rounds).median;
        row.cpu = Some([median(&self.ours), median(&self.reference)]);
        row.cpu_per = Some(per.to_owned());
        row
    }

    /// The row of another view, with a word about it behind the name.
    pub(super) fn side_row(&self, view: View, what: &str, against: &str) -> Row {
        let name = format!("{}, {what}", self.name);
        let reference = (against, view.of(&self.reference));
        Row::new(
            name,
            view.unit(),
            better(view),
            view.of(&self.ours),
            reference,
        )
    }

    /// The row against a figure of FastDFS from another run.
    pub(super) fn fastdfs(&self, view: View, figure: f64, goal: f64) -> Row {
        let name = format!("{}, FastDFS", self.name);
        let reference = ("FastDFS 6.16.1, another run", Summary::exactly(figure));
        Row::new(
            name,
            view.unit(),
            better(view),
            view.of(&self.ours),
            reference,
        )
        .goal(goal)
    }

    /// What is left of it beside idle connections, and with many rows and groups.
    pub(super) fn kept(&self, view: View, n_rows: u64) -> [Row; 2] {
        let of = |what: String, rounds: &[Measured]| {
            let name = format!("{}, {what}", self.name);
            let reference = ("itself without", view.of(&self.ours));
            Row::new(name, view.unit(), better(view), view.of(rounds), reference).goal(KEPT)
        };
        [
            of(format!("{} idle", holder::COUNT), &self.busy),
            of(format!("{n_rows} rows"), &self.old),
        ]
    }
}

fn better(view: View) -> Better {
    match view {
        View::Bytes | View::Rate => Better::More,
        View::Median | View::P99 | View::CpuPerGb | View::CpuPer1000 => Better::Less,
    }
}
