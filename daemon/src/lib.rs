//! The life of a daemon's process: arguments, configuration, logging, signals, metrics, the status port,
//! start and stop. Nothing of the business is here: no group, no file id.
//!
//! ```text
//!  main ─► run ─► arguments, configuration, process, log, signals
//!           │
//!           └► the server ─┬► Ports, net::Server
//!                          ├► metrics::Metrics, the observer of its connections
//!                          └► status::StatusPort, which shows them
//! ```
//!
//! It owns what belongs to the whole process: user, pid file, umask, limits, the logger, the signal
//! handlers, the metrics and the status port.
//!
//! Threads: the main thread runs the life; `signals` waits for signals; each log has one that writes it;
//! the status port has those of a [`net::Server`]. The main thread joins them, or leaves them to the end
//! of the process.
//!
//! In reading order: [`run`](run()), [`args`], [`config`], `process`, [`logging`], [`signals`], [`Ports`],
//! [`metrics`], [`status`].

pub mod args;
pub mod config;
mod host;
pub mod logging;
mod ports;
mod process;
mod run;
pub mod signals;

pub mod metrics;
pub mod status;

pub use host::hostname;
pub use ports::Ports;
pub use process::{ProcessConfig, Umask};
pub use run::{DaemonConfig, DaemonHandle, Job, command, job_done, run};
