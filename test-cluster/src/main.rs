//! `tnv-cluster`: starts, shows, stops and measures clusters. The Makefile calls it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use test_cluster::bench::PlainServer;
use test_cluster::{Binaries, Engine, Layout, Ports, bench, demo, guard_start, persistent};

/// Clusters of tnv on this machine, for trials and measurements
#[derive(Debug, Parser)]
#[command(name = "tnv-cluster", version)]
struct Args {
    /// The folder of the cluster
    #[arg(
        long,
        global = true,
        default_value = "test-cluster/run",
        value_name = "FOLDER"
    )]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster, or what is missing of it
    Up(LayoutArgs),
    /// Show every daemon and its state
    Status,
    /// Stop the cluster
    Stop,
    /// Start a cluster, and upload, stream and delete videos
    Demo {
        #[command(flatten)]
        layout: LayoutArgs,
        /// The folder of the demo videos
        #[arg(long, default_value = "test-cluster/media", value_name = "FOLDER")]
        media: PathBuf,
    },
    /// Measure everything beside the limits of this machine
    Bench(bench::Options),
    /// Stop the cluster if its start is interrupted
    #[command(hide = true)]
    GuardStart,
    /// Run a plain server for `bench`
    #[command(hide = true)]
    Serve {
        what: PlainServer,
        addr: SocketAddr,
        files: PathBuf,
    },
    /// Hold idle connections for `bench`
    #[command(hide = true)]
    Hold { addr: SocketAddr, count: usize },
}

/// The engine and the preferred ports. The first daemon of a role gets the preferred port if it is
/// free, the others get the next free ones.
#[derive(Debug, clap::Args)]
struct LayoutArgs {
    /// The engines for rows and files: SQLite and folders, or Galera and GlusterFS (needs root)
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,
    /// First port to try for trackers
    #[arg(long, env = "TNV_TRACKER_PORT", default_value_t = 21000)]
    tracker_port: u16,
    /// First port to try for idservers
    #[arg(long, env = "TNV_IDSERVER_PORT", default_value_t = 22000)]
    idserver_port: u16,
    /// First port to try for storages
    #[arg(long, env = "TNV_STORAGE_PORT", default_value_t = 23000)]
    storage_port: u16,
    /// First port to try for HTTP servers
    #[arg(long, env = "TNV_HTTPD_PORT", default_value_t = 8080)]
    httpd_port: u16,
    /// First port to try for nodes of the database
    #[arg(long, env = "TNV_DATABASE_PORT", default_value_t = 24000)]
    database_port: u16,
}

impl LayoutArgs {
    fn layout(&self) -> Layout {
        let mut layout = Layout::pairs();
        layout.engine = self.engine;
        layout.ports = Ports {
            tracker: self.tracker_port,
            idserver: self.idserver_port,
            storage: self.storage_port,
            httpd: self.httpd_port,
            database: self.database_port,
        };
        layout
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The error cannot be reported elsewhere.
            let _ = writeln!(io::stderr(), "tnv-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let folder = &args.folder;
    match &args.command {
        Command::Up(args) => {
            let binaries = Binaries::beside_this_program()?;
            persistent::up(&args.layout(), folder, &binaries).map(drop)
        }
        Command::Status => persistent::status(folder),
        Command::Stop => persistent::stop(folder),
        Command::Demo { layout, media } => {
            let binaries = Binaries::beside_this_program()?;
            let plan = persistent::up(&layout.layout(), folder, &binaries)?;
            demo::run(&plan, &binaries, media)
        }
        Command::Bench(options) => bench::run(folder, options),
        Command::GuardStart => guard_start(folder),
        Command::Serve { what, addr, files } => bench::serve(*what, *addr, files),
        Command::Hold { addr, count } => bench::hold(*addr, *count),
    }
}
