//! The common frame of all daemons: arguments, configuration, logging, signals, metrics, the status port,
//! start and stop. It knows nothing of groups or files.
//!
//! ```text
//!  main ─► run ─► arguments, configuration, process, log, signals
//!           │
//!           └► Running ─┬► Ports, net::Server
//!                       ├► metrics::Metrics, the observer of its connections
//!                       ├► status::StatusPort, which shows them
//!                       └► the Application: one of the servers
//! ```
//!
//! It owns the state of the process: user, pid file, umask, limits, the logger, the signal handlers, the
//! metrics and the status port.
//!
//! Threads: the main thread waits for stop and reload; `signals` waits for signals; each log has a writer;
//! the status port has the threads of a [`net::Server`]. The main thread joins them within deadlines.
//!
//! In reading order: [`run`](run()), [`args`], [`job`], [`config`], `process`, [`logging`], [`signals`],
//! `handle`, [`Application`], [`Ports`], [`metrics`], [`status`].

mod application;
pub mod args;
pub mod config;
mod handle;
mod host;
pub mod job;
pub mod logging;
mod ports;
mod process;
mod run;
pub mod signals;

pub mod metrics;
pub mod status;

pub use application::{Application, Running, Serving};
pub use config::{Config, Settings};
pub use host::hostname;
pub use ports::Ports;
pub use process::{ProcessConfig, Umask};
pub use run::{command, run};

#[cfg(test)]
mod tests;
