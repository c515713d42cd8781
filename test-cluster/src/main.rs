//! `tnv-cluster`: brings clusters up and down, shows and measures them. The Makefile calls it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use test_cluster::bench::Plain;
use test_cluster::{Binaries, Engine, Layout, Ports, bench, demo, limits, standing};

/// Clusters of tnv on this machine, for trying it out and for measuring it
#[derive(Debug, Parser)]
#[command(name = "tnv-cluster", version)]
struct Args {
    /// Where the cluster keeps everything it has
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
    /// Start a cluster and show it at work: upload, ranges, delete
    Demo {
        #[command(flatten)]
        layout: LayoutArgs,
        /// Where the demo videos are
        #[arg(long, default_value = "test-cluster/media", value_name = "FOLDER")]
        media: PathBuf,
    },
    /// Measure everything beside the limits of the machine
    Bench {
        /// Short rounds and fewer rows: less than three minutes
        #[arg(long)]
        quick: bool,
        /// Only rows that have one of these words in their name
        #[arg(long, value_delimiter = ',', value_name = "WORDS")]
        only: Vec<String>,
    },
    /// Be one of the plain servers that `bench` measures beside tnv
    #[command(hide = true)]
    Serve {
        what: Plain,
        addr: SocketAddr,
        files: PathBuf,
    },
    /// Hold connections that do nothing, for `bench`
    #[command(hide = true)]
    Hold { addr: SocketAddr, count: usize },
    /// Measure what idle and half-open connections cost others
    Idle,
    /// Measure memory while many clients move large files at once
    Memory {
        /// Size of each file, in MiB
        #[arg(long, default_value_t = 1024, value_name = "MIB")]
        size: u64,
        /// How many clients
        #[arg(long, default_value_t = 32)]
        clients: usize,
    },
}

/// The engine, and preferred ports: the first daemon of a kind gets it if it is free, the others
/// follow.
#[derive(Debug, clap::Args)]
struct LayoutArgs {
    /// What keeps rows and files: SQLite and folders, or Galera and GlusterFS (takes root)
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
            // Nobody is left to be told when this fails.
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
            standing::up(&args.layout(), folder, &binaries).map(drop)
        }
        Command::Status => standing::status(folder),
        Command::Stop => standing::stop(folder),
        Command::Demo { layout, media } => {
            let binaries = Binaries::beside_this_program()?;
            let plan = standing::up(&layout.layout(), folder, &binaries)?;
            demo::run(&plan, &binaries, media)
        }
        Command::Bench { quick, only } => bench::measure(folder, *quick, only),
        Command::Serve { what, addr, files } => bench::serve(*what, *addr, files),
        Command::Hold { addr, count } => bench::hold(*addr, *count),
        Command::Idle => limits::idle::measure(folder),
        Command::Memory { size, clients } => limits::memory::measure(folder, *clients, size << 20),
    }
}
