//! What a cluster consists of, before anybody has chosen ports.

use std::path::PathBuf;

use clap::ValueEnum;

/// What keeps rows and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// SQLite and a folder for each group.
    Embedded,
    /// A Galera cluster of three nodes, and a GlusterFS volume for each group. Takes root.
    Full,
}

/// How many daemons of each kind, and how they are set.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Trackers.
    pub trackers: u16,
    /// Idservers.
    pub idservers: u16,
    /// Groups of storages: `group001` and on.
    pub groups: u16,
    /// Storages in each group; they share one store folder, or have mounts of one volume.
    pub storages_per_group: u16,
    /// HTTP servers.
    pub httpds: u16,
    /// What keeps rows and files.
    pub engine: Engine,
    /// Where the search for free ports begins.
    pub ports: Ports,
    /// Settings that are not the defaults.
    pub settings: Settings,
}

/// The preferred ports: the first daemon of a kind gets this one if it is free, the others follow.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Of the trackers.
    pub tracker: u16,
    /// Of the idservers.
    pub idserver: u16,
    /// Of the storages of all groups.
    pub storage: u16,
    /// Of the HTTP servers.
    pub httpd: u16,
    /// Of the nodes of the database.
    pub database: u16,
}

/// Settings in which a cluster differs from the defaults of its daemons.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the storages: time between two beats.
    pub beat_interval: &'static str,
    /// Of the trackers: a member that did not beat for so long is taken for lost.
    pub check_interval: &'static str,
    /// Of all daemons: how much is logged.
    pub log_level: &'static str,
    /// Of all daemons: how long a connection may stay without a request.
    pub idle_timeout: &'static str,
    /// Of the storages: what a reply of success promises.
    pub durability: &'static str,
    /// Of the trackers: further groups, none of whose members is started here.
    pub more_groups: Vec<String>,
    /// Where the rows are, if not in SQLite.
    pub mysql: Option<Mysql>,
}

/// Databases on a MySQL server. Each kind of daemon has one, with its name behind the prefix.
#[derive(Debug, Clone)]
pub struct Mysql {
    /// `mysql://USER@HOST:PORT/PREFIX`.
    pub url: String,
    /// The file with the password.
    pub password_file: PathBuf,
}

impl Default for Ports {
    fn default() -> Ports {
        Ports {
            tracker: 21000,
            idserver: 22000,
            storage: 23000,
            httpd: 8080,
            database: 24000,
        }
    }
}

/// Beats are more frequent than by default, so that a tracker that was started anew has its
/// members back within seconds.
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            beat_interval: "2s",
            check_interval: "10s",
            log_level: "info",
            idle_timeout: "5m",
            durability: "full",
            more_groups: Vec::new(),
            mysql: None,
        }
    }
}

impl Layout {
    /// The demo cluster: two of everything.
    pub fn pairs() -> Layout {
        Layout {
            trackers: 2,
            idservers: 2,
            groups: 2,
            storages_per_group: 2,
            httpds: 2,
            engine: Engine::Embedded,
            ports: Ports::default(),
            settings: Settings::default(),
        }
    }

    /// One group of `storages` and one of everything else, on ports that nobody asks for by
    /// number.
    pub fn small(storages: u16) -> Layout {
        Layout {
            trackers: 1,
            idservers: 1,
            groups: 1,
            storages_per_group: storages,
            httpds: 1,
            engine: Engine::Embedded,
            ports: Ports::anywhere(),
            settings: Settings::default(),
        }
    }
}

impl Ports {
    /// For clusters that run beside others. The range lies below the one the system takes the
    /// ports of outgoing connections from: such a port could be gone before a daemon binds it.
    pub fn anywhere() -> Ports {
        let base = 11_000 + (std::process::id() % 64) as u16 * 128;
        Ports {
            tracker: base,
            idserver: base,
            storage: base,
            httpd: base,
            database: base,
        }
    }
}
