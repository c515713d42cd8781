//! The load generator: threads that repeat an operation, generated content that is compared when it is
//! read, and the figures of a measurement.
//!
//! [`run`] loads a cluster for `tnv bench`. `make bench` measures other programs with the same loop,
//! [`drive`], and the same [`Content`]. The crate owns the threads of the load, which end before either
//! function returns.
//!
//! The modules in reading order: `content` and `figures`, the loop `drive`, the operations `mix` with
//! `files` and `http`, one thread's `worker`, and the whole measurement `run`.

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
pub use drive::{Length, Meter, Moment, Timing, Worker, drive};
pub use failure::{UsageError, WRONG_BYTES};
pub use figures::{ErrorFigures, Failure, Figures, Latency, OperationFigures, OperationResult};
pub use mix::Mix;
pub use run::{Options, Target, run};

/// Length of the receive buffer, in bytes. It is the same for all measured servers, because it decides
/// the number of system calls of a transfer.
pub const BUFFER_LEN: usize = 256 << 10;
