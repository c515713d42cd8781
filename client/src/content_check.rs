//! Comparing the content of a whole file with the checksum of its row.

use std::fmt;

use twox_hash::XxHash3_128;

/// The XXH3-128 of the content that passed so far, and the one it is to have at the end.
pub struct ContentCheck {
    hash: Box<XxHash3_128>,
    expected: u128,
}

impl ContentCheck {
    /// For content with this checksum; nothing of it has passed yet.
    pub fn new(expected: u128) -> ContentCheck {
        ContentCheck {
            hash: Box::new(XxHash3_128::new()),
            expected,
        }
    }

    /// The next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
    }

    /// Whether all of the content has passed, and nothing else.
    pub fn is_good(&self) -> bool {
        self.hash.finish_128() == self.expected
    }
}

impl fmt::Debug for ContentCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentCheck").finish_non_exhaustive()
    }
}
