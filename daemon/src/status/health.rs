//! The health of a daemon.

use crate::metrics::Page;

/// The problems of a daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    failing: Vec<String>,
    degraded: Vec<String>,
    notes: Vec<String>,
}

impl Health {
    /// Adds a reason why the daemon cannot do its work.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failing.push(reason.into());
    }

    /// Adds a reason for reduced redundancy or capacity: the daemon still does its work.
    pub fn degrade(&mut self, reason: impl Into<String>) {
        self.degraded.push(reason.into());
    }

    /// Adds a note that is not a problem, such as an order of an administrator.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Fails if rows cannot be read and written.
    pub fn needs_database(&mut self, usable: Result<(), impl Into<anyhow::Error>>) {
        if let Err(e) = usable {
            self.fail(format!("{:#}", e.into()));
        }
    }

    /// True if the daemon can do its work.
    pub fn serves(&self) -> bool {
        self.failing.is_empty()
    }

    /// The state in one word: `ok`, `degraded` or `failing`.
    pub fn state(&self) -> &'static str {
        match (self.failing.is_empty(), self.degraded.is_empty()) {
            (false, _) => "failing",
            (true, false) => "degraded",
            (true, true) => "ok",
        }
    }

    /// All states.
    pub(super) const STATES: [&'static str; 3] = ["ok", "degraded", "failing"];

    /// The problems, failures first, and the notes.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let wrong = self.failing.iter().chain(&self.degraded);
        let all = wrong.chain(&self.notes);
        all.map(String::as_str)
    }
}

/// Adds the gauges of the database: rows can be read and written, and rows can be read.
pub fn measure_database(page: &mut Page, is_usable: bool, is_readable: bool) {
    let help = "Whether the database could be used when it was last asked.";
    page.gauge("tnv_database_up", help)
        .sample(&[], f64::from(u8::from(is_usable)));
    let help = "Whether rows could be read when that was last tried.";
    page.gauge("tnv_database_readable", help)
        .sample(&[], f64::from(u8::from(is_readable)));
}
