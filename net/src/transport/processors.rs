//! Whether a processor is idle: then one more worker helps; else it only competes with those that are awake.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread::available_parallelism;

/// The number of processors that this process may use.
pub(crate) fn count() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The processors of this machine.
pub(crate) struct Processors {
    count: usize,
    /// proc_loadavg(5); absent where it cannot be read.
    load: Option<File>,
}

impl Processors {
    pub(crate) fn new() -> Processors {
        Processors {
            count: count(),
            load: File::open("/proc/loadavg").ok(),
        }
    }

    /// True if fewer threads run than there are processors, the caller included, or if the system does not tell.
    pub(crate) fn is_one_idle(&self) -> bool {
        let mut text = [0; 64];
        let read = |load: &File| load.read_at(&mut text, 0).ok();
        let len = self.load.as_ref().and_then(read).unwrap_or(0);
        running(&text[..len]).is_none_or(|running| running <= self.count)
    }
}

/// The number of runnable threads, in front of the slash of the fourth field.
fn running(loadavg: &[u8]) -> Option<usize> {
    let threads = std::str::from_utf8(loadavg).ok()?.split(' ').nth(3)?;
    threads.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runnable_threads_are_read() {
        assert_eq!(running(b"0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!(running(b""), None);
        assert!(Processors::new().load.is_some());
    }
}
