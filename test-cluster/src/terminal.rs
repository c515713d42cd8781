//! Output of the program.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line. A closed standard output is no reason to stop.
pub(crate) fn tell(line: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Prints a line for a successful check.
pub(crate) fn checked(what: impl Display) {
    tell(format_args!("  ok  {what}"));
}
