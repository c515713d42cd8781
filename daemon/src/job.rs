//! Jobs that a daemon does instead of serving, such as preparing a disk or a database.

use std::io::Write;
use std::process::ExitCode;

/// A flag of one daemon that names a job to do instead of serving.
#[derive(Debug, Clone, Copy)]
pub struct JobFlag {
    /// Without the dashes, as in `init-store`.
    pub name: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
}

/// The job that makes the tables of a daemon with a database.
pub const INIT_DATABASE: JobFlag = JobFlag {
    name: "init-database",
    help: "Make the database's tables, or what they lack, say what was done and exit",
};

/// A job with the configuration `C`. It must be idempotent.
pub struct Job<C> {
    /// Its flag on the command line.
    pub flag: JobFlag,
    /// Does the job and writes to the standard output. Returns the exit code.
    pub work: fn(&C, &mut dyn Write) -> anyhow::Result<ExitCode>,
}

/// Writes the lines of a job.
///
/// # Errors
/// The output is closed.
pub fn job_done(lines: Vec<String>, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}
