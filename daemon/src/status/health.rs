//! Whether a daemon can do its work.

use crate::metrics::Page;

/// What is wrong with a daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    failing: Vec<String>,
    degraded: Vec<String>,
    notes: Vec<String>,
}

impl Health {
    /// Something that the daemon is there for cannot be done.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failing.push(reason.into());
    }

    /// All can be done, but a part that others stand in for is missing.
    pub fn degrade(&mut self, reason: impl Into<String>) {
        self.degraded.push(reason.into());
    }

    /// Nothing is wrong, but whoever looks should know, of what was ordered above all.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Fails unless rows can be read and written: nothing can be done for long without that.
    pub fn needs_database(&mut self, usable: Result<(), impl Into<anyhow::Error>>) {
        if let Err(e) = usable {
            self.fail(format!("{:#}", e.into()));
        }
    }

    /// Whether everything the daemon is there for can be done.
    pub fn serves(&self) -> bool {
        self.failing.is_empty()
    }

    /// In a word.
    pub fn state(&self) -> &'static str {
        match (self.failing.is_empty(), self.degraded.is_empty()) {
            (false, _) => "failing",
            (true, false) => "degraded",
            (true, true) => "ok",
        }
    }

    /// All states there are.
    pub(super) const STATES: [&'static str; 3] = ["ok", "degraded", "failing"];

    /// What is wrong, the worst first, and what else is to be known.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let wrong = self.failing.iter().chain(&self.degraded);
        let all = wrong.chain(&self.notes);
        all.map(String::as_str)
    }
}

/// Shows whether rows of the database can be read and written, and whether they can be read at least.
pub fn measure_database(page: &mut Page, is_usable: bool, is_readable: bool) {
    let help = "Whether the database could be used when it was last asked.";
    page.gauge("tnv_database_up", help)
        .sample(&[], f64::from(u8::from(is_usable)));
    let help = "Whether rows could be read when that was last tried.";
    page.gauge("tnv_database_readable", help)
        .sample(&[], f64::from(u8::from(is_readable)));
}
