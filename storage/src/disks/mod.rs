//! Store paths and the disks below them: which folders take files, how much space they have, how
//! many requests may be at a disk, and how files are created durably.

pub(crate) mod disk_error;
pub(crate) mod expected_folder;
pub(crate) mod folder_id;
pub(crate) mod folder_sync;
pub(crate) mod identity_files;
pub(crate) mod limiter;
pub(crate) mod open_files;
pub(crate) mod placement;
pub(crate) mod probe;
pub(crate) mod root;
pub(crate) mod space;
pub(crate) mod stale_temp_files;
pub(crate) mod store_path;
pub(crate) mod store_paths;
pub(crate) mod writer;
