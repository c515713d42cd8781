//! The common frame of all daemons: arguments, configuration, logging, signals, metrics, the status port,
//! start and stop. It knows nothing of groups or files.
//!
//! ```text
//!  main ─► run ─► arguments, configuration, process, log, signals
//!           │
//!           └► the server ─┬► Ports, net::Server
//!                          ├► metrics::Metrics, the observer of its connections
//!                          └► status::StatusPort, which shows them
//! ```
//!
//! It owns the state of the process: user, pid file, umask, limits, the logger, the signal handlers, the
//! metrics and the status port.
//!
//! Threads: the main thread waits for stop and reload; `signals` waits for signals; each log has a writer;
//! the status port has the threads of a [`net::Server`]. The main thread joins them within deadlines.
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
