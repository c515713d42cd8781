//! Common parts of the pages of the daemons.

use clap::Command;

/// The programs, in the order of their pages.
pub(crate) const NAMES: [&str; 4] = ["tnv-tracker", "tnv-idserver", "tnv-storage", "tnv-httpd"];

/// Below the options of each of them.
pub(crate) const NOTES: &str = "\
Signals:
  TERM, INT  stop: finish what is in flight, at most for stop_timeout; a second one ends it at once
  HUP        open the log files anew and reload what can change while it runs

Exit status:
  0  stopped in order, or the job is done; with --daemon: it serves
  1  it could not serve, or was ended by a second signal
  2  the arguments or the configuration cannot be used
  3  it runs already: its pid file is locked
  4  tnv-storage --list-orphans: there are some

Files:
  /etc/tnv/       configurations, see tnv-storage.toml(5) and its like
  /etc/init.d/    services; systemd's units lie beside them
  /etc/default/   settings of both
  /run/tnv/       pid files
  /var/lib/tnv/   data and databases, unless they are configured elsewhere
  /var/log/tnv/   logs

See also:
  tnv(1), tnv-tracker(8), tnv-idserver(8), tnv-storage(8), tnv-httpd(8),
  tnv-tracker.toml(5), tnv-idserver.toml(5), tnv-storage.toml(5), tnv-httpd.toml(5)
";

/// Their command lines.
pub(crate) fn all() -> [Command; 4] {
    [
        daemon::command::<tracker::App>(),
        daemon::command::<idserver::App>(),
        daemon::command::<storage::App>(),
        daemon::command::<httpd::App>(),
    ]
}
