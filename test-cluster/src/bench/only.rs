//! Which rows are measured.

/// Those whose name has one of the words in it, in whatever case; without a word all of them.
#[derive(Debug, Default)]
pub(super) struct Only(Vec<String>);

impl Only {
    pub(super) fn of(words: &[String]) -> Only {
        Only(words.iter().map(|word| word.to_lowercase()).collect())
    }

    pub(super) fn includes(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.0.is_empty() || self.0.iter().any(|word| name.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_chosen_by_a_part_of_its_name() {
        let only = Only::of(&["SADDRS".to_owned(), "idserver".to_owned()]);
        assert!(only.includes("tracker saddrs, 32 connections"));
        assert!(only.includes("idserver get, 32 connections"));
        assert!(!only.includes("HTTP 100 MiB, 1 connection"));
        assert!(Only::default().includes("HTTP 100 MiB, 1 connection"));
    }
}
