//! The configuration files: their samples in `etc/`, and the defaults of the code.

use daemon::{Config, Settings};
use toml::Table;

/// A configuration file.
pub(crate) struct Sample {
    /// Of the page.
    pub(crate) name: &'static str,
    /// Where it is installed.
    pub(crate) path: &'static str,
    pub(crate) about: &'static str,
    pub(crate) see_also: &'static str,
    pub(crate) text: &'static str,
    /// The settings in force with a file of this text; absent where only the sample tells.
    pub(crate) effective: Option<fn(&str) -> anyhow::Result<Table>>,
}

pub(crate) const SAMPLES: [Sample; 5] = [
    Sample {
        name: "tnv-tracker.toml",
        path: "/etc/tnv/tracker.toml",
        about: "settings of the tracker of tnv",
        see_also: "tnv-tracker(8)",
        text: include_str!("../../etc/tracker.toml"),
        effective: Some(effective_with::<tracker::Settings>),
    },
    Sample {
        name: "tnv-idserver.toml",
        path: "/etc/tnv/idserver.toml",
        about: "settings of the idserver of tnv",
        see_also: "tnv-idserver(8)",
        text: include_str!("../../etc/idserver.toml"),
        effective: Some(effective_with::<idserver::Settings>),
    },
    Sample {
        name: "tnv-storage.toml",
        path: "/etc/tnv/storage.toml",
        about: "settings of the storage of tnv",
        see_also: "tnv-storage(8)",
        text: include_str!("../../etc/storage.toml"),
        effective: Some(effective_with::<storage::Settings>),
    },
    Sample {
        name: "tnv-httpd.toml",
        path: "/etc/tnv/httpd.toml",
        about: "settings of the HTTP server of tnv",
        see_also: "tnv-httpd(8)",
        text: include_str!("../../etc/httpd.toml"),
        effective: Some(effective_with::<httpd::Settings>),
    },
    Sample {
        name: "tnv.toml",
        path: "~/.config/tnv/tnv.toml, /etc/tnv/client.toml",
        about: "settings of the command line of tnv",
        see_also: "tnv(1)",
        text: include_str!("../../etc/client.toml"),
        effective: None,
    },
];

/// The settings in force with a file of this text, but for those that depend on the machine.
fn effective_with<S: Settings>(text: &str) -> anyhow::Result<Table> {
    let config = Config::<S>::parse(text).map_err(anyhow::Error::msg)?;
    let mut table: Table = toml::from_str(&config.effective()?)?;
    table.remove("hostname");
    Ok(table)
}
