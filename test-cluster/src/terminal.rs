//! What the program tells its user.

use std::fmt::Display;
use std::io::{self, Write};

/// One line on the standard output. That nobody reads it any more is no reason to stop.
pub(crate) fn tell(line: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// The same for what was checked and found in order.
pub(crate) fn checked(what: impl Display) {
    tell(format_args!("  ok  {what}"));
}
