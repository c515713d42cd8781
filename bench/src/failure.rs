//! Kinds of failures.

use std::io;

use client::Error;

use crate::Failure;

/// The kind of failures for content that differs from the stored content.
pub const WRONG_BYTES: &str = "wrong bytes";

/// An invalid option.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

pub(crate) fn new(kind: &str, message: impl Into<String>) -> Failure {
    Failure {
        kind: kind.to_owned(),
        message: message.into(),
    }
}

/// A failure of the client library, with its kind.
pub(crate) fn of(error: &Error) -> Failure {
    new(&words(&format!("{:?}", error.kind())), error.chain())
}

/// A failure to read content: of the client library, the comparison or the system.
pub(crate) fn of_io(error: &io::Error) -> Failure {
    if let Some(error) = Error::of_io(error) {
        return of(error);
    }
    let kind = match error.kind() {
        io::ErrorKind::InvalidData => WRONG_BYTES,
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "timeout",
        _ => "network",
    };
    new(kind, error.to_string())
}

/// `NotFound` as `not found`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words() {
        assert_eq!(words("NotFound"), "not found");
        assert_eq!(words("Busy"), "busy");
    }

    #[test]
    fn a_difference_is_told_from_a_broken_connection() {
        let mut content = crate::Content::new(1, 10);
        let difference = content.check(b"x").unwrap_err();
        assert_eq!(of_io(&difference).kind, WRONG_BYTES);
        let broken = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(of_io(&broken).kind, "network");
    }
}
