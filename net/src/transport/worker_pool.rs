//! The two pools of workers.

/// The pool of workers that serves a request. Work that blocks on a disk or a database must not delay a
/// small command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerPool {
    /// Small requests that do not block for long.
    Fast,
    /// Requests that may block for long or move content.
    Slow,
}
