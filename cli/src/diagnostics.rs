//! Failures and notes on stderr: text for people, or with `--json` one object per line for programs.

use std::io::{self, Write};

use base::Escaped;
use serde_json::{Value, json};

use super::args::Args;
use super::exit::{self, Exit};

/// The form of what is told on stderr.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diagnostics {
    json: bool,
    /// The subcommand. Absent if the command line cannot be parsed.
    command: Option<&'static str>,
}

/// One of several arguments: its key in JSON, such as `id`, and its value.
pub(super) type Subject<'a> = (&'static str, &'a str);

impl Diagnostics {
    pub(super) fn new(args: &Args) -> Diagnostics {
        Diagnostics {
            json: args.global.json,
            command: Some(args.command.name()),
        }
    }

    /// Prints the error of a command line that cannot be parsed, or the help or version that it asks
    /// for. JSON is wanted if `--json` is among the arguments, although not all of them are known.
    pub(super) fn of_unparsed(error: &clap::Error) {
        let mut args = std::env::args_os().take_while(|arg| arg != "--");
        if !error.use_stderr() || !args.any(|arg| arg == "--json") {
            // There is no other output for an error of this print.
            drop(error.print());
            return;
        }
        let text = error.render().to_string();
        let message = text.split("\n\nUsage:").next().unwrap_or_default();
        let message = message.split("\n\nFor more").next().unwrap_or_default();
        let words: Vec<&str> = message.split_whitespace().collect();
        let message = words.join(" ");
        let object = json!({
            "error": message.trim_start_matches("error: "),
            "kind": Exit::Usage.name(),
            "exit_code": Exit::Usage as u8,
            "command": Value::Null,
            "advice": "tnv --help and tnv COMMAND --help list the arguments",
        });
        print(&object.to_string());
    }

    /// Prints an error with all its causes, in one line. As text it ends with the advice if the caller
    /// wants it; the JSON object always has it.
    pub(super) fn error(
        self,
        error: &anyhow::Error,
        subject: Option<Subject<'_>>,
        with_advice: bool,
    ) {
        if self.json {
            return print(&self.object(error, subject).to_string());
        }
        let text = match exit::advice(error).filter(|_| with_advice) {
            Some(advice) => format!("{error:#}; {advice}"),
            None => format!("{error:#}"),
        };
        print(&format!("tnv: {}", Escaped(text)));
    }

    /// An error as a JSON object.
    pub(super) fn object(self, error: &anyhow::Error, subject: Option<Subject<'_>>) -> Value {
        let exit = exit::of(error);
        let mut object = json!({
            "error": format!("{error:#}"),
            "kind": exit.name(),
            "exit_code": exit as u8,
            "command": self.command,
            "advice": exit::advice(error),
        });
        if let Some((key, value)) = subject {
            object[key] = value.into();
        }
        object
    }

    /// Prints a line that is not an error.
    pub(super) fn note(self, text: &str) {
        match self.json {
            true => print(&json!({ "note": text }).to_string()),
            false => print(&format!("tnv: {}", Escaped(text))),
        }
    }

    /// Prints a result that stdout did not take. A result in JSON is the value of `unprinted`.
    pub(super) fn unprinted(self, line: &str) {
        if !self.json {
            let text = format!("not printed on standard output: {line}");
            return print(&format!("tnv: {}", Escaped(text)));
        }
        let value = serde_json::from_str(line).unwrap_or_else(|_| Value::from(line));
        print(&json!({ "unprinted": value }).to_string());
    }
}

/// There is no other output for an error of this write.
fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
