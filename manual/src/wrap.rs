//! Lines of a document that fit its width.

/// Columns of a document (CONTRIBUTING.md).
const WIDTH: usize = 120;

/// Breaks a paragraph into lines of at most [`WIDTH`] columns. All lines but the first begin with
/// `indent`, and the first leaves room for as much. Code in backticks is not broken, so code that is
/// longer than a line exceeds it.
pub(crate) fn wrap(paragraph: &str, indent: &str) -> String {
    let width = WIDTH - indent.len();
    let mut lines: Vec<String> = Vec::new();
    for word in words(paragraph) {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{indent}"))
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The words of a text; spaces inside of backticks end no word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    let is_break = move |c: char| {
        in_code ^= c == '`';
        c == ' ' && !in_code
    };
    text.split(is_break).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_hold_all_words() {
        let text = "some words ".repeat(50);
        let wrapped = wrap(&text, "  ");
        assert!(wrapped.lines().count() > 4);
        assert!(wrapped.lines().all(|line| line.len() <= WIDTH), "{wrapped}");
        assert!(
            wrapped
                .lines()
                .skip(1)
                .all(|line| line.starts_with("  some") || line.starts_with("  words"))
        );
        let joined: Vec<&str> = wrapped.split_whitespace().collect();
        assert_eq!(joined.join(" "), text.trim());
    }

    #[test]
    fn code_is_not_broken() {
        let code = format!("`{}`", "a b ".repeat(20).trim());
        let wrapped = wrap(&format!("{} {code}.", "word ".repeat(10)), "");
        assert_eq!(wrapped.lines().last(), Some(format!("{code}.").as_str()));
    }
}
