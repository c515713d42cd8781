//! Mistakes in files of settings, in words that fit into one line of a log.

use std::ops::Range;

/// What a reader of TOML says, with the line of the text it is about, and the key if it is its value,
/// instead of a picture of it.
pub fn settings_mistake(text: &str, message: &str, span: Option<Range<usize>>) -> String {
    let message = message.replace('\n', " ");
    let Some(span) = span else { return message };
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let begun = before.rsplit('\n').next().unwrap_or_default();
    match begun.split_once('=') {
        Some((key, _)) => format!("line {line}, {}: {message}", key.trim()),
        None => format!("line {line}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line_that_names_another() {
        let said = settings_mistake("a\nb\nc", "no\nluck", Some(4..5));
        assert_eq!(said, "line 3: no luck");
        let said = settings_mistake("a\nb = 5\nc", "no luck", Some(6..7));
        assert_eq!(said, "line 2, b: no luck");
        assert_eq!(settings_mistake("a", "no luck", None), "no luck");
    }
}
