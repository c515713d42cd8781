//! The two pools of workers.

/// Which pool of workers a request goes to. Work that blocks on a disk or a database must not keep
/// a small command waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Small and quick.
    Fast,
    /// May block for long, or moves content.
    Slow,
}
