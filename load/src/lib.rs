//! What load generators share: content of any size that checks itself, threads that repeat one
//! step for a while, and the figures of it.
//!
//! `tnv bench` and the programs that `make bench` compares tnv with are measured by the same loop,
//! over the same content. Nothing here knows a server or opens a socket.

pub mod content;
mod drive;
mod figures;

pub use content::Content;
pub use drive::{Done, Failure, Length, Meter, Moment, Pace, Worker, drive};
pub use figures::{ErrorFigures, Figures, Latency, OperationFigures};

/// Length of the buffer through which content is received, in bytes. The same for every server
/// that is measured, because it decides how many system calls a transfer takes.
pub const BUFFER_LEN: usize = 256 << 10;
