//! Finds processes of GlusterFS by their arguments.

use std::time::Duration;

use test_support::process::Process;

/// Longest wait for a process to end.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The process that has `args` next to each other among its arguments.
pub(crate) fn find_process(args: &[&str]) -> anyhow::Result<Option<Process>> {
    let is_equal = |window: &[&[u8]]| window.iter().zip(args).all(|(a, b)| *a == b.as_bytes());
    let mut found = Process::find_all(|all| all.windows(args.len()).any(is_equal))?;
    Ok(found.pop())
}
