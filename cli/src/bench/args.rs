//! What `tnv bench` can be told.

use std::path::PathBuf;
use std::time::Duration;

use crate::units::{parse_duration, parse_duration_or_zero, parse_size};
use ::bench::Mix;

/// How `tnv bench` explains itself at the end of its help.
pub(crate) const HELP: &str = "\
Operations of --mix:
  upload      store a file of one of the sizes
  download    get a whole file
  range       get --range bytes of a file from a random offset on
  stat        ask for size, time and checksum
  delete      remove a file that the thread has stored; if it has none, it stores one
  saddrs      ask a tracker for the storages of the user
  id          ask an idserver for a number, with --idservers
  http        get a whole file from an HTTP server, with --http
  http-range  the same for --range bytes from a random offset on
  http-seek   on a new connection, from a random offset on: the time to the first byte

Connections are kept, one for each thread and server. Content is made from a number and
compared as it comes; files that were stored are read back at the end, and all are removed.
Code 7 when a byte was wrong, 1 when anything else failed.

Examples:
  tnv --user alice bench --size 16KiB --threads 8 --files 1000 --mix download:9,upload:1
  tnv --user alice bench --size 1GiB --mix http-seek --http http://10.0.0.3:8080
  tnv --user alice --json bench --mix saddrs --threads 32 --duration 1m";

/// Options of `tnv bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct BenchArgs {
    /// What is done, and how often next to the others
    #[arg(
        long,
        default_value = "upload:1,download:8,range:8,stat:2,delete:1",
        value_name = "OPERATION[:WEIGHT],..."
    )]
    pub(super) mix: Mix,
    /// Threads, each with connections of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) threads: u16,
    /// Size of the files; of several sizes each file gets one by chance
    #[arg(
        long,
        default_value = "1MiB",
        value_delimiter = ',',
        value_name = "SIZE,...",
        value_parser = parse_size
    )]
    pub(super) size: Vec<u64>,
    /// How many files are stored beforehand, to be read [default: one for each thread]
    #[arg(long)]
    pub(super) files: Option<usize>,
    /// Length of ranges
    #[arg(long, default_value = "64KiB", value_name = "SIZE", value_parser = parse_size)]
    pub(super) range: u64,
    /// How long is measured
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = parse_duration)]
    pub(super) duration: Duration,
    /// Measure so many operations instead, of all threads together
    #[arg(long, conflicts_with = "duration")]
    pub(super) count: Option<u64>,
    /// How long the same is done before it is measured
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration_or_zero)]
    pub(super) warm_up: Duration,
    /// The idservers to get numbers from, parted by semicolons
    #[arg(long, value_name = "HOST:PORT;...")]
    pub(super) idservers: Option<String>,
    /// The key of these numbers
    #[arg(long, default_value = "tnvbench")]
    pub(super) id_key: String,
    /// An HTTP server, and the folder of the files there [default: /files/APP/USER]
    #[arg(long, value_name = "http://HOST:PORT[/FOLDER]")]
    pub(super) http: Option<String>,
    /// Keep the files, and write which they are to this file, for --use
    #[arg(long, value_name = "LIST")]
    pub(super) keep: Option<PathBuf>,
    /// Read the files that an earlier run has kept, and leave them
    #[arg(long = "use", value_name = "LIST", conflicts_with_all = ["files", "keep"])]
    pub(super) used: Option<PathBuf>,
}
