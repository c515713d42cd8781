//! Text of peers in logs and on terminals: it must not forge log lines or control the terminal.

use std::fmt::{self, Display, Write};

/// Displays a value on one line: control characters and line separators are escaped.
#[derive(Debug)]
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all text is printable ASCII, which this checks many bytes at a time.
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return self.0.write_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.find(is_escaped) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = tail.chars();
            if let Some(escaped) = chars.next() {
                write!(self.0, "{}", escaped.escape_default())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Control characters, the Unicode line separators, and the marks that change the direction of writing and
/// so the order in which a line is read.
fn is_escaped(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_is_escaped() {
        let escaped = |text: &str| Escaped(text).to_string();
        assert_eq!(escaped("größe \"1\" \\ 中"), "größe \"1\" \\ 中");
        assert_eq!(escaped("a\r\nb\tc\0"), "a\\r\\nb\\tc\\u{0}");
        assert_eq!(escaped("\u{1b}[2J\u{9b}"), "\\u{1b}[2J\\u{9b}");
        assert_eq!(escaped("x\u{2028}\u{202e}"), "x\\u{2028}\\u{202e}");
    }
}
