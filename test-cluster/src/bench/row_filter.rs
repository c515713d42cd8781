//! The choice of rows to measure.

/// Words of `--only`. A row is measured if its name has one of them, in upper or lower case; without
/// words all rows are measured.
#[derive(Debug, Default)]
pub(super) struct RowFilter(Vec<String>);

impl RowFilter {
    pub(super) fn new(words: &[String]) -> RowFilter {
        RowFilter(words.iter().map(|word| word.to_lowercase()).collect())
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
        let filter = RowFilter::new(&["SADDRS".to_owned(), "idserver".to_owned()]);
        assert!(filter.includes("tracker saddrs, 32 connections"));
        assert!(filter.includes("idserver get, 32 connections"));
        assert!(!filter.includes("HTTP 100 MiB, 1 connection"));
        assert!(RowFilter::default().includes("HTTP 100 MiB, 1 connection"));
    }
}
