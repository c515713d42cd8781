//! The options of a run.

use std::path::PathBuf;

use crate::layout::Engine;

/// Options of `tnv-cluster bench`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Short rounds and fewer rows
    #[arg(long)]
    pub quick: bool,
    /// Only rows that have one of these words in their name
    #[arg(long, value_delimiter = ',', value_name = "WORDS")]
    pub only: Vec<String>,
    /// Measure clusters with a cluster key, too
    #[arg(long)]
    pub key: bool,
    /// Full: measure clusters on GlusterFS and Galera, too (needs root)
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    pub engine: Engine,
    /// The congestion control of all connections
    #[arg(long, default_value = "reno", value_name = "NAME")]
    pub congestion_control: String,
    /// Measure here, with the files in this folder
    #[arg(long, hide = true, value_name = "FOLDER")]
    pub inside: Option<PathBuf>,
    /// The reason why there is no network namespace
    #[arg(long, hide = true, value_name = "REASON")]
    pub unfair: Option<String>,
}
