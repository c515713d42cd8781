//! The life of a file: upload, sending, deletion, and the jobs that finish or check what is left.

pub(crate) mod delete;
pub(crate) mod deletion_job;
pub(crate) mod expiry_job;
pub(crate) mod faults;
pub(crate) mod listing;
pub(crate) mod orphans;
pub(crate) mod quota_count;
pub(crate) mod recheck;
pub(crate) mod requester;
pub(crate) mod retry_schedule;
pub(crate) mod sent_file;
pub(crate) mod temp_file_cleanup;
pub(crate) mod upload;
