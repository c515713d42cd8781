//! The command line that all daemons share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser};

use crate::job::JobFlag;

/// The arguments of a daemon. All other settings are in its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Parser)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The configuration, a TOML file; without it every setting has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration, print the effective settings and exit
    #[arg(long)]
    pub check_config: bool,
    /// Serve in the background: ends with 0 as soon as the daemon serves there
    #[arg(long, conflicts_with = "check_config")]
    pub daemon: bool,
    /// Holds the number of the process and is locked while it runs; overrides the configuration
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// The job to do instead of serving, by its flag.
    #[arg(skip)]
    pub job: Option<&'static str>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 stopped in order, or serves in the background; 1 it cannot serve; 2 the arguments or
the configuration cannot be used; 3 it runs already (the pid file is locked).";

impl Args {
    /// Reads `args`, of which the first is the program, for a [`command`] with these jobs.
    ///
    /// # Errors
    /// Arguments that are not understood; `--help` and `--version` too. The error prints itself
    /// to the right stream and knows its exit code.
    pub(crate) fn read(
        mut command: Command,
        jobs: &[JobFlag],
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Args, clap::Error> {
        let matches = command.try_get_matches_from_mut(args)?;
        let args = Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let mut names = jobs.iter().map(|job| job.name);
        let job = names.find(|name| matches.get_flag(name));
        Ok(Args { job, ..args })
    }
}

/// The command line of the program `name`.
pub(crate) fn command(
    name: &'static str,
    about: &'static str,
    version: &'static str,
    jobs: &[JobFlag],
) -> Command {
    let command = Args::command().name(name).about(about).version(version);
    // Else clap would show the doc comment of the struct in the long help.
    command.long_about(None).args(jobs.iter().map(flag))
}

fn flag(job: &JobFlag) -> Arg {
    Arg::new(job.name)
        .long(job.name)
        .help(job.help)
        .action(ArgAction::SetTrue)
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        let all = [&["tnv-test"], args].concat();
        let job = JobFlag {
            name: "init-store",
            help: "Mark the store",
        };
        Args::read(command("tnv-test", "Tests", "1.2.3", &[job]), &[job], all)
    }

    #[test]
    fn everything_is_optional() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.config, args.check_config), (None, false));
        let args = parse(&["--config", "a.toml", "--check-config"]).unwrap();
        assert_eq!(args.config, Some("a.toml".into()));
        assert!(args.check_config);
        assert_eq!(args.job, None);
        assert_eq!(parse(&["--init-store"]).unwrap().job, Some("init-store"));
        let args = parse(&["--daemon", "--pid-file", "/run/a.pid"]).unwrap();
        assert!(args.daemon);
        assert_eq!(args.pid_file, Some("/run/a.pid".into()));
    }

    #[test]
    fn version_and_help_are_the_daemons_own() {
        let version = parse(&["--version"]).unwrap_err();
        assert_eq!(version.kind(), ErrorKind::DisplayVersion);
        assert_eq!(version.to_string(), "tnv-test 1.2.3\n");
        let help = parse(&["--help"]).unwrap_err();
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
        assert!(help.to_string().starts_with("Tests\n"), "{help}");
    }

    #[test]
    fn unknown_arguments_are_refused() {
        assert_eq!(parse(&["--loud"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["extra"]).unwrap_err().exit_code(), 2);
        let both = parse(&["--daemon", "--check-config"]).unwrap_err();
        assert_eq!(both.exit_code(), 2);
    }
}
