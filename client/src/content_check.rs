//! Comparison of a whole file's content with its checksum.

use std::fmt;

use twox_hash::XxHash3_128;

/// The XXH3-128 of the content so far, and the expected one.
pub struct ContentCheck {
    hash: Box<XxHash3_128>,
    expected: u128,
}

impl ContentCheck {
    /// A check of content that has this checksum.
    pub fn new(expected: u128) -> ContentCheck {
        ContentCheck {
            hash: Box::new(XxHash3_128::new()),
            expected,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
    }

    /// True if exactly the expected content was added.
    pub fn is_good(&self) -> bool {
        self.hash.finish_128() == self.expected
    }
}

impl fmt::Debug for ContentCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentCheck").finish_non_exhaustive()
    }
}
