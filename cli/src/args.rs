//! The definition of the command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand};

use super::bench::args::BenchArgs;
use super::units::{parse_duration, parse_expiry, parse_since, parse_size};

const EXAMPLES: &str = "\
Examples:
  tnv --trackers '10.0.0.1:21000;10.0.0.2:21000' --user alice upload film.mp4
  ffmpeg ... | tnv --user alice upload -
  tnv --user alice download 6b02020e02c16382020d00fd6d220f000188 -o film.mp4 --continue
  tnv --user alice download ID --offset 1MiB --size 64KiB -o - | xxd
  tnv --user alice --json stat ID
  tnv --user alice list --prefix film/ --since 24h
  tnv --user alice upload --as film/ FOLDER
  tnv --user alice download --prefix film/ -o FOLDER
  tnv --user alice delete --prefix film/ --yes

Exit codes:
  0  success
  1  any other failure
  2  wrong usage or configuration, such as an unknown application or the address
     of another server as a tracker
  3  the file does not exist
  4  the file exists, or another user has its id
  5  no server can be reached, or all are unavailable or busy
  6  the storages have no space, or are read-only
  7  the content is damaged: it does not match its checksum
  8  it is unknown whether an upload was stored
  9  forbidden
  10 a local file or standard output cannot be read or written

Standard input is copied to a temporary file before it is uploaded, in $TMPDIR if
set, else in /var/tmp. The folder must have space for all of it.
A list is in the order of ids of the database, and may lack a file that is stored
meanwhile. A deletion of many files tells what failed, and goes on when it is run again.
With several files or ids, all are tried, also if the reader of standard output
closes it. The exit code is that of the first failure. An id that cannot be printed
goes to standard error. If one of several uploads fails, standard error lists the
id of each stored file; with --json each file is an object with its id or its error.
With --json standard error has one object per line, too. A failure has error (the
text), kind, exit_code, command (null for a command line that cannot be parsed),
advice (what to do, or null), and file, id, user or storage if it is one of several.
The kinds are the exit codes by name: other, usage, not_found, exists, unavailable,
no_space, damaged, outcome_unknown, forbidden, local. A remark has note, and a
result that cannot be printed has unprinted. --verbose adds lines of text.
Ids made by tnv never repeat. Others belong to the user; in tables of the C++ system,
no other user may have the id.
Settings are read from --config, else from ~/.config/tnv/tnv.toml, else from
/etc/tnv/client.toml. The environment overrides them, and the command line overrides
both.";

/// Stores, reads and manages media files in a tnv cluster.
#[derive(Debug, Parser)]
#[command(name = "tnv", version, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every subcommand, before or after its name.
#[derive(Debug, clap::Args)]
pub(super) struct Global {
    /// The trackers, separated by semicolons or commas [default: 127.0.0.1:21000]
    #[arg(
        long,
        global = true,
        env = "TNV_TRACKERS",
        value_name = "HOST:PORT;..."
    )]
    pub(super) trackers: Option<String>,
    /// The application of the files [default: tnvideo]
    #[arg(long, global = true, env = "TNV_APP")]
    pub(super) app: Option<String>,
    /// The user of the files
    #[arg(long, global = true, env = "TNV_USER")]
    pub(super) user: Option<String>,
    /// The settings file, in TOML
    #[arg(long, global = true, env = "TNV_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The file with the key that trackers and storages demand, see key_file in the settings
    #[arg(long, global = true, env = "TNV_KEY_FILE", value_name = "FILE")]
    pub(super) client_key_file: Option<PathBuf>,
    /// Limit on the silence of a server, such as 10s or 500ms [default: 30s; for a check 5s]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(super) timeout: Option<Duration>,
    /// Print each result as a JSON object in one line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Hide the progress bar
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Log requests to servers on stderr (twice: more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store files and print their ids
    Upload(UploadArgs),
    /// Read a file or a part of it
    Download(DownloadArgs),
    /// Show size, time and checksum of files
    Stat(Ids),
    /// Remove files
    Delete(DeleteArgs),
    /// List the files of the user: id, size and time, separated by tabs
    List(SelectionArgs),
    /// Show number and size of the files of the user
    Usage(SelectionArgs),
    /// List the groups and their storages
    Groups,
    /// Load a cluster, compare every byte, and show rates and latencies
    Bench(BenchArgs),
    /// Show the cluster as all trackers see it, with their differences
    Monitor(MonitorArgs),
    /// Print a signed URL for a path of an HTTP server. Needs the key of signed URLs
    Sign(SignArgs),
    /// Change the cluster. Needs the administrators' key: see admin_key_file and --key-file
    Admin(AdminArgs),
}

impl Command {
    /// Its name, as typed.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Command::Upload(_) => "upload",
            Command::Download(_) => "download",
            Command::Stat(_) => "stat",
            Command::Delete(_) => "delete",
            Command::List(_) => "list",
            Command::Usage(_) => "usage",
            Command::Groups => "groups",
            Command::Bench(_) => "bench",
            Command::Monitor(_) => "monitor",
            Command::Sign(_) => "sign",
            Command::Admin(args) => args.order.name(),
        }
    }

    /// True if its result cannot be requested again.
    pub(super) fn has_effects(&self) -> bool {
        matches!(
            self,
            Command::Upload(_) | Command::Delete(_) | Command::Admin(_) | Command::Download(_)
        )
    }

    /// True if the exit code is for a monitoring system.
    pub(super) fn is_check(&self) -> bool {
        matches!(self, Command::Monitor(args) if args.check)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct MonitorArgs {
    /// Show a table and redraw it at this interval, until interrupted
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3600),
        conflicts_with_all = ["json", "check"]
    )]
    pub(super) watch: Option<u64>,
    /// Print one line for Nagios and similar systems. The exit code is 0 for OK, 1 for WARNING, 2 for
    /// CRITICAL, 3 for UNKNOWN
    #[arg(long, conflicts_with = "json")]
    pub(super) check: bool,
    /// With --check: WARNING if less than this share of a group's disk is available to uploads
    #[arg(
        short,
        long,
        value_name = "PERCENT",
        default_value_t = 20,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(super) warning: u8,
    /// With --check: CRITICAL if less than this share is available
    #[arg(
        short,
        long,
        value_name = "PERCENT",
        default_value_t = 10,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(super) critical: u8,
    /// Status ports of idservers, instead of those in the settings file
    #[arg(long, value_name = "HOST:PORT;...")]
    pub(super) idservers: Option<String>,
    /// Status ports of HTTP servers, instead of those in the settings file
    #[arg(long, value_name = "HOST:PORT;...")]
    pub(super) httpds: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The path as in the URL, such as /files/tnvideo/alice/ID, or the beginning of the URL up to it
    pub(super) path: String,
    /// How long the URL is valid, such as 2h or 30m
    #[arg(
        long = "for",
        value_name = "TIME",
        value_parser = parse_duration,
        default_value = "1h",
        allow_hyphen_values = true
    )]
    pub(super) time: Duration,
    /// Sign a folder with everything below it. The path ends with a slash
    #[arg(long)]
    pub(super) prefix: bool,
    /// The only client that may use the URL
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Option<IpAddr>,
    /// The method of the request. GET includes HEAD
    #[arg(long, default_value = "GET", value_parser = ["GET", "PUT", "POST", "DELETE"])]
    pub(super) method: String,
    /// The file with the key of signed URLs, see url_key_file in the settings
    #[arg(long, env = "TNV_URL_KEY_FILE", value_name = "FILE")]
    pub(super) url_key_file: Option<PathBuf>,
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
    /// Assign new users to a group that is new or was closed
    OpenGroup {
        /// Its name
        group: String,
        /// Allow a group that the database does not know
        #[arg(long)]
        new: bool,
    },
    /// Assign no more users to a group. Its users stay
    CloseGroup {
        /// Its name
        group: String,
    },
    /// Stop uploads to a storage, also after its restart
    Drain {
        /// Its address in `tnv monitor`, or its node id
        storage: String,
        /// Stop all requests of clients
        #[arg(long)]
        all: bool,
    },
    /// Put a storage back into service
    Undrain {
        /// Its address or node id
        storage: String,
    },
    /// Remove a dead storage from the list of every tracker
    Forget {
        /// Its address or node id
        storage: String,
    },
    /// Move users without files to another group. Their uploads are refused meanwhile
    Move {
        /// The users
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        /// The target group, which must be open
        #[arg(long, value_name = "GROUP")]
        to: String,
    },
    /// Show the group and the storages of the user
    User,
    /// Show group, storages, table and path of files
    File(Ids),
}

impl Order {
    fn name(&self) -> &'static str {
        match self {
            Order::OpenGroup { .. } => "admin open-group",
            Order::CloseGroup { .. } => "admin close-group",
            Order::Drain { .. } => "admin drain",
            Order::Undrain { .. } => "admin undrain",
            Order::Forget { .. } => "admin forget",
            Order::Move { .. } => "admin move",
            Order::User => "admin user",
            Order::File(_) => "admin file",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct UploadArgs {
    /// The files to store. `-` is standard input, which is copied to a temporary file first
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// The id of a single file, instead of a new one. It may be a path, such as film/index.m3u8
    #[arg(long, conflicts_with = "prefix")]
    pub(super) id: Option<String>,
    /// When the file expires: after a time, such as 30d, or at a day or moment in UTC, such as 2026-12-31 or
    /// 2026-12-31T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_expiry)]
    pub(super) expires: Option<i64>,
    /// The name under which browsers save a single file [default: that of the file]
    #[arg(long, conflicts_with = "prefix")]
    pub(super) name: Option<String>,
    /// Store files, and all files below folders, under ids that begin with PREFIX and a slash. A file that is
    /// stored already is left out, so a second run completes a set
    #[arg(long = "as", value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    pub(super) prefix: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DownloadArgs {
    /// The id of the file
    #[arg(
        value_name = "ID",
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present = "prefix",
        conflicts_with = "prefix"
    )]
    pub(super) id: Option<String>,
    /// Read all files whose ids begin with this text, into the folder of --output. Files that it has already are
    /// left out
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = NonEmptyStringValueParser::new(),
        requires = "output",
        conflicts_with_all = ["offset", "size"]
    )]
    pub(super) prefix: Option<String>,
    /// The target, `-` for standard output [default: a file with the id as name]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// First byte, such as 0 or 1MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_hyphen_values = true)]
    pub(super) offset: Option<u64>,
    /// Number of bytes, such as 64KiB [default: up to the end]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_hyphen_values = true)]
    pub(super) size: Option<u64>,
    /// Continue an interrupted download of this file to the same target
    #[arg(long = "continue", conflicts_with_all = ["offset", "size"])]
    pub(super) resume: bool,
    /// Overwrite an existing file
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// The ids of the files
    #[arg(
        value_name = "ID",
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present_any = ["all_of_user", "prefix"],
        conflicts_with_all = ["all_of_user", "prefix"]
    )]
    pub(super) ids: Vec<String>,
    /// Remove all files of the user. Shows their number and asks first
    #[arg(long, conflicts_with = "prefix")]
    pub(super) all_of_user: bool,
    /// Remove all files whose ids begin with this text. Shows their number and asks first
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) prefix: Option<String>,
    /// Do not ask
    #[arg(short, long, conflicts_with = "ids")]
    pub(super) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct SelectionArgs {
    /// Only files whose ids begin with this text
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) prefix: Option<String>,
    /// Only files that were stored within this time, such as 24h, or since a day or moment in UTC, such as
    /// 2026-11-30 or 2026-11-30T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since, allow_hyphen_values = true)]
    pub(super) since: Option<i64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Ids {
    /// The ids of the files
    #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(super) ids: Vec<String>,
}
