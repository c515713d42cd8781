//! A progress bar on stderr, with rate and time left.

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// A bar for `size` bytes, hidden if stderr is no terminal. It is cleared when dropped.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(output: &Output, label: &str, size: u64) -> Progress {
        if !output.shows_progress() {
            return Progress::hidden();
        }
        let bar = ProgressBar::new(size).with_message(label.to_owned());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    pub(super) fn hidden() -> Progress {
        Progress {
            bar: ProgressBar::hidden(),
        }
    }

    /// Sets the bytes that are done.
    pub(super) fn set(&self, n_bytes: u64) {
        self.bar.set_position(n_bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
