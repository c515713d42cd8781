//! GlusterFS volumes for tests. Each test has a glusterd of its own, with bricks in a folder of the
//! test. They end with the process of the test, in whatever way it ends.
//!
//! Bricks and the self-heal daemon always connect to port 24007, sockets are in
//! `/var/run/gluster` and logs in `/var/log/glusterfs`, whatever the configuration of glusterd says.
//! So each glusterd runs in namespaces: it has its own ports, processes and contents of these two
//! folders, and any number of them run beside each other and beside the glusterd of the host. Only
//! the mounts are visible outside. Namespaces and mounts take root.

mod cli;
mod host;
mod mount;
mod persistent;
mod processes;
mod programs;
mod volume;

pub use host::Gluster;
pub use mount::Mount;
pub use persistent::{mounted, unmount};
pub use programs::require;
pub use volume::{SETTINGS, Volume};
