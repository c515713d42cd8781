//! The load generator: threads that repeat one step for a while, content of any size that checks
//! itself, and the figures of it.
//!
//! [`run`] puts load on a cluster for `tnv bench`. `make bench` measures other programs with the
//! same loop, [`drive`], and the same [`Content`]. Every thread belongs to one call of either.

pub mod content;
mod drive;
mod figures;

mod failure;
mod files;
mod http;
mod mix;
mod run;
mod worker;

pub use content::Content;
pub use drive::{Length, Meter, Moment, Pace, Worker, drive};
pub use failure::{UsageError, WRONG_BYTES};
pub use figures::{Done, ErrorFigures, Failure, Figures, Latency, OperationFigures};
pub use mix::Mix;
pub use run::{Options, Target, run};

/// Length of the buffer through which content is received, in bytes. The same for every server
/// that is measured, because it decides how many system calls a transfer takes.
pub const BUFFER_LEN: usize = 256 << 10;
