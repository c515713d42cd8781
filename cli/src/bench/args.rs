//! Options of `tnv bench`.

use std::path::PathBuf;
use std::time::Duration;

use crate::units::{parse_duration, parse_duration_or_zero, parse_size};
use ::bench::Mix;

/// The end of the help of `tnv bench`.
pub(crate) const HELP: &str = "\
Operations of --mix:
  upload      store a file of one of the sizes
  download    read a whole file
  range       read --range bytes of a file from a random offset
  stat        request size, time and checksum
  list        list the first 1000 files of the user
  delete      remove a file that the thread stored; if there is none, store one
  saddrs      request the storages of the user from a tracker
  id          request a number from an idserver, with --idservers
  http        get a whole file from an HTTP server, with --http
  http-range  get --range bytes from a random offset from an HTTP server
  http-seek   get the first byte from a random offset, on a new connection

Each thread keeps one connection to each server. Content is generated from a seed and
compared when it is read. At the end the stored files are read back, and all are removed.
The exit code is 7 if a byte was wrong, 1 if anything else failed.

Examples:
  tnv --user alice bench --size 16KiB --threads 8 --files 1000 --mix download:9,upload:1
  tnv --user alice bench --size 1GiB --mix http-seek --http http://10.0.0.3:8080
  tnv --user alice --json bench --mix saddrs --threads 32 --duration 1m";

/// Options of `tnv bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct BenchArgs {
    /// The operations and their weights
    #[arg(
        long,
        default_value = "upload:1,download:8,range:8,stat:2,delete:1",
        value_name = "OPERATION[:WEIGHT],..."
    )]
    pub(super) mix: Mix,
    /// Threads, each with connections of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) threads: u16,
    /// Sizes of the files. Each file gets a random one of them
    #[arg(
        long,
        default_value = "1MiB",
        value_delimiter = ',',
        value_name = "SIZE,...",
        value_parser = parse_size,
        allow_hyphen_values = true
    )]
    pub(super) size: Vec<u64>,
    /// Number of files to store before the measurement [default: one for each thread]
    #[arg(long)]
    pub(super) files: Option<usize>,
    /// Length of ranges
    #[arg(long, default_value = "64KiB", value_name = "SIZE", value_parser = parse_size, allow_hyphen_values = true)]
    pub(super) range: u64,
    /// Duration of the measurement
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(super) duration: Duration,
    /// Number of operations to measure, of all threads together, instead of --duration
    #[arg(long, conflicts_with = "duration")]
    pub(super) count: Option<u64>,
    /// Duration of the warm-up before the measurement
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration_or_zero, allow_hyphen_values = true)]
    pub(super) warm_up: Duration,
    /// The idservers, separated by semicolons
    #[arg(long, value_name = "HOST:PORT;...")]
    pub(super) idservers: Option<String>,
    /// The key of the numbers
    #[arg(long, default_value = "tnvbench")]
    pub(super) id_key: String,
    /// The HTTP server, and the folder of the files [default: /files/APP/USER]
    #[arg(long, value_name = "http://HOST:PORT[/FOLDER]")]
    pub(super) http: Option<String>,
    /// Keep the files and write their list to this file, for --use
    #[arg(long, value_name = "LIST")]
    pub(super) keep: Option<PathBuf>,
    /// Read the files that an earlier run kept, and keep them
    #[arg(long = "use", value_name = "LIST", conflicts_with_all = ["files", "keep"])]
    pub(super) used: Option<PathBuf>,
}
