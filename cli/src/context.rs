//! The values that every subcommand needs.

use client::Client;

use super::output::Output;
use super::settings::Settings;

pub(super) struct Context {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) output: Output,
}
