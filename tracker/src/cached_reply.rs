//! A reply that is too long to be made for each request.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Members above which a list is cached: a list of 100,000 members takes 25 MB and long to make.
const CACHED_ABOVE: usize = 1000;
/// How long a list is used again.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// The latest long list of one kind.
#[derive(Default)]
pub(crate) struct CachedReply(Mutex<Option<Body>>);

struct Body {
    bytes: Arc<[u8]>,
    /// On the clock of [`Now::elapsed`](crate::groups::Now::elapsed).
    made_at: Duration,
}

impl CachedReply {
    /// The list of `n_members` that `make` returns, or a cached long one. Concurrent requests for a long
    /// list wait for the one that makes it, and share the bytes.
    pub(crate) fn body(
        &self,
        n_members: usize,
        now: Duration,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Arc<[u8]> {
        if n_members <= CACHED_ABOVE {
            *self.0.lock() = None;
            return make().into();
        }
        let mut cached = self.0.lock();
        match &*cached {
            Some(cached) if now.saturating_sub(cached.made_at) < CACHED_FOR => {
                Arc::clone(&cached.bytes)
            }
            _ => {
                let bytes: Arc<[u8]> = make().into();
                *cached = Some(Body {
                    bytes: Arc::clone(&bytes),
                    made_at: now,
                });
                bytes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_made_once_a_second_and_a_short_one_each_time() {
        let (cached, began) = (CachedReply::default(), Duration::from_secs(5));
        let body = |n_members: usize, generation: u8, now| {
            cached.body(n_members, now, || vec![generation])
        };
        assert_eq!(*body(CACHED_ABOVE, 1, began), [1]);
        assert_eq!(*body(CACHED_ABOVE, 2, began), [2]);
        let long = body(CACHED_ABOVE + 1, 3, began);
        let again = body(CACHED_ABOVE + 2, 4, began + CACHED_FOR / 2);
        // The same bytes, not a copy: many may ask and read nothing.
        assert!(*long == [3] && Arc::ptr_eq(&long, &again));
        assert_eq!(*body(CACHED_ABOVE + 2, 5, began + CACHED_FOR), [5]);
        assert_eq!(*body(CACHED_ABOVE, 6, began + CACHED_FOR), [6]);
        assert_eq!(*body(CACHED_ABOVE + 1, 7, began + CACHED_FOR), [7]);
    }
}
