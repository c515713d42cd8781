//! The memory of a running storage: its identity, and findings that reports and warnings show.

pub(crate) mod arrival_clock;
pub(crate) mod damaged_files;
pub(crate) mod expiry_lag;
pub(crate) mod foreign_rows;
pub(crate) mod identity;
pub(crate) mod list_limiter;
pub(crate) mod pending_deletes;
pub(crate) mod quotas;
pub(crate) mod recent_errors;
pub(crate) mod small_file;
pub(crate) mod tracker_statuses;
pub(crate) mod unresolved_uploads;
pub(crate) mod upload_blocks;
pub(crate) mod warnings;
