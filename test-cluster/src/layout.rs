//! The parts of a cluster, before ports are chosen.

use std::path::PathBuf;

use clap::ValueEnum;

/// The engines for rows and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// SQLite and a folder for each group.
    Embedded,
    /// A Galera cluster of three nodes, and a GlusterFS volume for each group. Needs root.
    Full,
}

/// The number of daemons of each role, and their settings.
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
    /// The engines for rows and files.
    pub engine: Engine,
    /// The first ports to try.
    pub ports: Ports,
    /// Settings that differ from the defaults.
    pub settings: Settings,
}

/// The preferred ports. The first daemon of a role gets its port if it is free, the others get the next
/// free ones.
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
    /// Of the trackers: a storage without a beat for this long is offline.
    pub check_interval: &'static str,
    /// Of all daemons: the level of the log.
    pub log_level: &'static str,
    /// Of all daemons: longest time of a connection without a request.
    pub idle_timeout: &'static str,
    /// Of the storages: the durability of a file after the reply.
    pub durability: &'static str,
    /// Of the storages: true if they pass open files to the other programs of this machine.
    pub local_reads: bool,
    /// Of the trackers: more groups, without a storage in this cluster.
    pub more_groups: Vec<String>,
    /// The cluster key of all daemons and of `tnv`.
    pub key: Option<&'static str>,
    /// The databases, if not SQLite.
    pub mysql: Option<Mysql>,
}

/// Databases on a MySQL server. Each role has one, with its name after the prefix.
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

/// Beats are more frequent than by default, so that a restarted tracker knows its members within
/// seconds.
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            beat_interval: "2s",
            check_interval: "10s",
            log_level: "info",
            idle_timeout: "5m",
            durability: "full",
            local_reads: true,
            more_groups: Vec::new(),
            key: None,
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

    /// One group of `storages` storages, and one daemon of each other role, on any ports. As if each daemon had a
    /// machine of its own: all content comes over TCP.
    pub fn small(storages: u16) -> Layout {
        Layout {
            trackers: 1,
            idservers: 1,
            groups: 1,
            storages_per_group: storages,
            httpds: 1,
            engine: Engine::Embedded,
            ports: Ports::anywhere(),
            settings: Settings {
                local_reads: false,
                ..Settings::default()
            },
        }
    }
}

impl Ports {
    /// Ports for a cluster beside others. The range is below that of outgoing connections: the system
    /// could give such a port away before a daemon binds it.
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
