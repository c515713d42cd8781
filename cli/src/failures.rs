//! The failures of a command that works on several files.

use serde_json::json;

use super::exit::{Exit, of};
use super::output::{self, Output};

/// The failures of several files. Each is printed at once; the first one decides the exit code.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Option<Exit>,
}

impl Failures {
    /// Prints the failure of a result, if it is one. True for a success.
    pub(super) fn note(&mut self, result: anyhow::Result<()>) -> bool {
        if let Err(error) = &result {
            output::print_error(error);
            self.first.get_or_insert(of(error));
        }
        result.is_ok()
    }

    /// As [`Failures::note`], for one of several arguments. With JSON a failure is also an object on
    /// stdout, with the key `kind` for `name`, the error and its code.
    pub(super) fn note_named(
        &mut self,
        output: &Output,
        (kind, name): (&'static str, &str),
        result: anyhow::Result<()>,
    ) -> bool {
        if let Err(error) = &result
            && output.is_json()
        {
            let line = json!({
                kind: name,
                "error": format!("{error:#}"),
                "exit_code": of(error) as u8,
            });
            output.line(&line.to_string());
        }
        self.note(result)
    }

    pub(super) fn exit(&self) -> Exit {
        self.first.unwrap_or(Exit::Ok)
    }
}
