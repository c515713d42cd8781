//! GlusterFS volumes for tests: a glusterd of their own, with bricks in a folder of theirs, and
//! gone when the test process is, however it ends.
//!
//! Much of glusterd is fixed: bricks and the self-heal daemon look for it at port 24007 whatever
//! its own configuration says, sockets lie in `/var/run/gluster`, logs in `/var/log/glusterfs`.
//! So it runs in namespaces: ports, processes and those two folders are its own, and any number
//! of them run beside each other and beside the glusterd of the host. Only the mounts are made
//! where everybody sees them. That takes root, as mounting does anyway.

mod cli;
mod host;
mod mount;
mod process;
mod programs;
mod standing;
mod volume;

pub use host::Gluster;
pub use mount::Mount;
pub use programs::require;
pub use standing::{mounted, unmount};
pub use volume::{SETTINGS, Volume};
