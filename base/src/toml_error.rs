//! Errors in TOML files, as one line of a log.

use std::ops::Range;

/// The message of a TOML parser with the line, the section and, for a value, the key of `span` in `text`,
/// instead of an excerpt of several lines.
pub fn toml_error(text: &str, message: &str, span: Option<Range<usize>>) -> String {
    let message = message.replace('\n', " ");
    let Some(span) = span else { return message };
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let section = section(before).map_or_else(String::new, |name| format!(" in section [{name}]"));
    match begun.split_once('=') {
        Some((key, _)) => format!("line {line}{section}, {}: {message}", key.trim()),
        None => format!("line {line}{section}: {message}"),
    }
}

/// The section that is open where `text` ends: a setting there belongs to it, even if its author thinks
/// otherwise.
fn section(text: &str) -> Option<&str> {
    let mut headers = text.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
        let is_header = rest.trim().is_empty() || rest.trim().starts_with('#');
        (is_header && !name.contains(['[', ',', '"'])).then_some(name.trim())
    });
    headers.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line_that_names_another() {
        let said = toml_error("a\nb\nc", "no\nluck", Some(4..5));
        assert_eq!(said, "line 3: no luck");
        let said = toml_error("a\nb = 5\nc", "no luck", Some(6..7));
        assert_eq!(said, "line 2, b: no luck");
        assert_eq!(toml_error("a", "no luck", None), "no luck");
    }

    #[test]
    fn a_mistake_names_the_section_that_it_is_in() {
        let text = "a = 1\n[server]\nb = [2]\n# [none]\n[ log ] # lines\nlevel = 3\ngroups = 4\n";
        let said = |key: &str| {
            let at = text.find(key).unwrap();
            toml_error(text, "no luck", Some(at..at + 1))
        };
        assert_eq!(said("a ="), "line 1: no luck");
        assert_eq!(said("b ="), "line 3 in section [server]: no luck");
        assert_eq!(said("groups"), "line 7 in section [log]: no luck");
        assert_eq!(said("4"), "line 7 in section [log], groups: no luck");
    }
}
