//! The failures of a command that works on several files.

use super::diagnostics::{Diagnostics, Subject};
use super::exit::{Exit, of};
use super::output::Output;

/// The failures of several files. Each is printed at once; the first one decides the exit code, and
/// only with it an advice is printed as text.
#[derive(Debug)]
pub(super) struct Failures {
    diagnostics: Diagnostics,
    first: Option<Exit>,
}

impl Failures {
    pub(super) fn new(diagnostics: Diagnostics) -> Failures {
        Failures {
            diagnostics,
            first: None,
        }
    }

    /// Prints the failure of a result for one of several arguments, if it is one. True for a success.
    pub(super) fn note(&mut self, subject: Subject<'_>, result: anyhow::Result<()>) -> bool {
        if let Err(error) = &result {
            self.diagnostics
                .error(error, Some(subject), self.first.is_none());
            self.first.get_or_insert(of(error));
        }
        result.is_ok()
    }

    /// As [`Failures::note`]. With JSON the failure is an object on stdout, too, in the order of the
    /// arguments.
    pub(super) fn note_as_result(
        &mut self,
        output: &Output,
        subject: Subject<'_>,
        result: anyhow::Result<()>,
    ) -> bool {
        if let Err(error) = &result
            && output.is_json()
        {
            let object = self.diagnostics.object(error, Some(subject));
            output.line(&object.to_string());
        }
        self.note(subject, result)
    }

    pub(super) fn exit(&self) -> Exit {
        self.first.unwrap_or(Exit::Ok)
    }
}
