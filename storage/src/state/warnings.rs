//! Warnings for operators while this storage serves. REPORT, `/healthz` and `/status` show them.

use std::collections::BTreeMap;

use daemon::status::Health;
use parking_lot::Mutex;
use proto::report::REPORT_WARNINGS_MAX;

/// One text for each kind of lasting trouble.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<BTreeMap<&'static str, String>>);

impl Warnings {
    /// Sets or clears the text of a kind. The text tells what is wrong and where. The caller
    /// writes the log.
    pub(crate) fn set(&self, kind: &'static str, text: Option<String>) {
        let mut warnings = self.0.lock();
        match text {
            Some(text) => drop(warnings.insert(kind, text)),
            None => drop(warnings.remove(kind)),
        }
    }

    /// The texts, in the order of their kinds; at most [`REPORT_WARNINGS_MAX`].
    pub(crate) fn list(&self) -> Vec<String> {
        let warnings = self.0.lock();
        warnings
            .values()
            .take(REPORT_WARNINGS_MAX)
            .cloned()
            .collect()
    }

    /// Adds each as a reason to be degraded.
    pub(crate) fn health(&self, health: &mut Health) {
        for text in self.0.lock().values() {
            health.degrade(text.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_text_until_it_is_cleared() {
        let warnings = Warnings::default();
        warnings.set("damage", Some("1 file is damaged".to_owned()));
        warnings.set("clock", Some("the clock is 8h ahead".to_owned()));
        warnings.set("damage", Some("2 files are damaged".to_owned()));
        assert_eq!(
            warnings.list(),
            ["the clock is 8h ahead", "2 files are damaged"]
        );
        let mut health = Health::default();
        warnings.health(&mut health);
        assert_eq!(health.state(), "degraded");
        assert!(
            health
                .reasons()
                .any(|reason| reason == "2 files are damaged")
        );
        warnings.set("damage", None);
        warnings.set("clock", None);
        warnings.set("never set", None);
        assert!(warnings.list().is_empty());
        let mut health = Health::default();
        warnings.health(&mut health);
        assert_eq!(health.state(), "ok");
    }
}
