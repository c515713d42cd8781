//! The command line as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand};

use super::bench::BenchArgs;
use super::units::{parse_duration, parse_size};

const EXAMPLES: &str = "\
Examples:
  tnv --trackers '10.0.0.1:21000;10.0.0.2:21000' --user alice upload film.mp4
  ffmpeg ... | tnv --user alice upload -
  tnv --user alice download 6b02020e02c16382020d00fd6d220f000188 -o film.mp4 --continue
  tnv --user alice download ID --offset 1MiB --size 64KiB -o - | xxd
  tnv --user alice --json stat ID

Exit codes:
  0  success
  1  any other failure
  2  wrong usage or configuration, such as an unknown application or an address
     that is no tracker's
  3  no such file
  4  the file exists already, or another user has its id
  5  no server could be reached, or all are unavailable or busy
  6  the storages have no space, or are read-only
  7  the content is damaged: it does not match its checksum
  8  it is unknown whether an upload was stored
  9  forbidden
  10 a local file could not be read or written, or standard output could not

Standard input is copied to a temporary file before it is uploaded, in $TMPDIR if
that is set, else in /var/tmp: there must be room for all of it.
With several files or ids all are tried, also when the reader of standard output
goes away; the code is the first failure's. An id that cannot be printed goes to
standard error. When one of several uploads fails, standard error tells which file
has which id; with --json each file is an object with its id or its error.
An id given with --id must be one that no other user has: the tables have one key
for the files of all users. Ids that tnv makes never repeat.
Settings are read from --config, else from ~/.config/tnv/tnv.toml, else from
/etc/tnv/client.toml; the environment overrides them, the command line overrides both.";

/// Stores media files in a tnv cluster and gets them back.
#[derive(Debug, Parser)]
#[command(name = "tnv", version, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options that every subcommand takes, before or after its name.
#[derive(Debug, clap::Args)]
pub(super) struct Global {
    /// The trackers, parted by semicolons or commas [default: 127.0.0.1:21000]
    #[arg(
        long,
        global = true,
        env = "TNV_TRACKERS",
        value_name = "HOST:PORT;..."
    )]
    pub(super) trackers: Option<String>,
    /// The application the files belong to [default: tnvideo]
    #[arg(long, global = true, env = "TNV_APP")]
    pub(super) app: Option<String>,
    /// The user the files belong to
    #[arg(long, global = true, env = "TNV_USER")]
    pub(super) user: Option<String>,
    /// A TOML file with settings
    #[arg(long, global = true, env = "TNV_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Longest wait for a silent server, such as 10s or 500ms [default: 30s; of a check 5s]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// Print one JSON object per result and line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Show no progress
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Tell on stderr which servers are tried (twice: more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store files; prints the id of each
    Upload(UploadArgs),
    /// Get a file, or a part of it
    Download(DownloadArgs),
    /// Show size, time and checksum of files
    Stat(Ids),
    /// Remove files
    Delete(Ids),
    /// List the groups and their storages
    Groups,
    /// Measure a cluster: put load on it, compare every byte, show rates and times
    Bench(BenchArgs),
    /// Show the whole cluster as all trackers see it, and where they differ
    Monitor(MonitorArgs),
    /// Change the cluster; needs the key in the file that admin_key_file or --key-file names
    Admin(AdminArgs),
}

impl Command {
    /// Whether what it does cannot be found out again from elsewhere.
    pub(super) fn has_effects(&self) -> bool {
        matches!(
            self,
            Command::Upload(_) | Command::Delete(_) | Command::Admin(_) | Command::Download(_)
        )
    }

    /// Whether the exit code is for a monitoring system.
    pub(super) fn is_check(&self) -> bool {
        matches!(self, Command::Monitor(args) if args.check)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct MonitorArgs {
    /// Show a table that is drawn anew every so many seconds, until it is interrupted
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3600),
        conflicts_with_all = ["json", "check"]
    )]
    pub(super) watch: Option<u64>,
    /// Print one line for Nagios and its kin; the exit code is 0 for OK, 1 for WARNING, 2 for
    /// CRITICAL, 3 for UNKNOWN
    #[arg(long, conflicts_with = "json")]
    pub(super) check: bool,
    /// With --check: WARNING when uploads may take less than this share of a group's disk
    #[arg(
        short,
        long,
        value_name = "PERCENT",
        default_value_t = 20,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(super) warning: u8,
    /// With --check: CRITICAL when they may take less than this
    #[arg(
        short,
        long,
        value_name = "PERCENT",
        default_value_t = 10,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(super) critical: u8,
    /// Status ports of idservers to ask, instead of those in the settings file
    #[arg(long, value_name = "HOST:PORT;...")]
    pub(super) idservers: Option<String>,
    /// Status ports of HTTP servers to ask, instead of those in the settings file
    #[arg(long, value_name = "HOST:PORT;...")]
    pub(super) httpds: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct AdminArgs {
    /// The file with the administrators' key
    #[arg(long, global = true, env = "TNV_ADMIN_KEY_FILE", value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) order: Order,
}

#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// Give new users to a group, a new one or one that was closed
    OpenGroup {
        /// Its name
        group: String,
        /// It may be one that the database does not know
        #[arg(long)]
        new: bool,
    },
    /// Give no more users to a group; those it has stay
    CloseGroup {
        /// Its name
        group: String,
    },
    /// Take a storage out of service: it takes no uploads any more. Survives restarts
    Drain {
        /// Its address, as `tnv monitor` shows it, or its node id
        storage: String,
        /// Send no clients there at all
        #[arg(long)]
        all: bool,
    },
    /// Put a storage back into service
    Undrain {
        /// Its address or node id
        storage: String,
    },
    /// Strike a dead storage off the list of every tracker
    Forget {
        /// Its address or node id
        storage: String,
    },
    /// Move users who have no files to another group. Their uploads are refused meanwhile
    Move {
        /// The users
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        /// The group, one that is given new users
        #[arg(long, value_name = "GROUP")]
        to: String,
    },
    /// Show the group and the storages of the user
    User,
    /// Show where files lie: group, storages, row and path
    File(Ids),
}

#[derive(Debug, clap::Args)]
pub(super) struct UploadArgs {
    /// The files to store; `-` is standard input, which is copied to a temporary file first, in
    /// $TMPDIR if that is set, else in /var/tmp
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// The id to store a single file under, instead of a new one; no other user may have it
    #[arg(long)]
    pub(super) id: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DownloadArgs {
    /// The id of the file
    pub(super) id: String,
    /// Where to write it, `-` for standard output [default: a file called like the id]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// First byte to get, such as 0 or 1MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(super) offset: Option<u64>,
    /// How many bytes to get, such as 64KiB [default: up to the end]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(super) size: Option<u64>,
    /// Go on with an interrupted download of this file to the same place
    #[arg(long = "continue", conflicts_with_all = ["offset", "size"])]
    pub(super) resume: bool,
    /// Overwrite an existing file
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Ids {
    /// The ids of the files
    #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(super) ids: Vec<String>,
}
