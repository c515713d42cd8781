//! How many numbers of a key one reservation takes: `step`, and up to `step_max` for a key in demand and
//! for a request that wants many.

use std::time::{Duration, Instant};

use crate::config::Config;

/// A reservation that is used up sooner counts as fast.
const FAST_BELOW: Duration = Duration::from_millis(50);
/// A reservation that lasts this long resets the size to `step`.
const RESET_FROM: Duration = Duration::from_secs(1);
/// Fast reservations of a key before its size doubles. A short burst keeps the size, because a restart
/// skips the numbers in memory.
const FAST_MIN: u32 = 16;

/// Size of a key's latest reservation, and how fast the key uses its reservations up.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct StepSize {
    /// Numbers; 0 before the first reservation.
    pub(crate) size: u32,
    reserved_at: Option<Instant>,
    n_fast: u32,
}

impl StepSize {
    /// The size of the reservation to make at `now`, when a request has wanted as many numbers.
    pub(crate) fn next(self, wanted: u16, now: Instant, config: &Config) -> StepSize {
        let (step, step_max) = (config.step, config.step_max);
        let lasted = self.reserved_at.map(|at| now.saturating_duration_since(at));
        let (n_fast, size) = match lasted {
            Some(lasted) if lasted < FAST_BELOW => {
                let n_fast = self.n_fast.saturating_add(1);
                let factor = 1 + u32::from(n_fast >= FAST_MIN);
                (n_fast, self.size.saturating_mul(factor))
            }
            Some(lasted) if lasted < RESET_FROM => (self.n_fast, self.size),
            _ => (0, step),
        };
        StepSize {
            size: size.max(wanted.into()).clamp(step, step_max.max(step)),
            reserved_at: None,
            n_fast,
        }
    }

    /// Records that the reservation was made at `now`, of `size` numbers: fewer than asked for at the end
    /// of a key's numbers.
    pub(crate) fn reserved(self, size: u32, now: Instant) -> StepSize {
        StepSize {
            size,
            reserved_at: Some(now),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn config(step_max: u32) -> Config {
        Config::of(Settings {
            step: 100,
            step_max,
            ..Settings::default()
        })
    }

    /// Sizes of a row of reservations that last `lasting` each.
    fn sizes(lasting: &[Duration], step_max: u32) -> Vec<u32> {
        let (mut now, config) = (Instant::now(), config(step_max));
        let mut step = StepSize::default();
        let mut sizes = Vec::new();
        for time in [Duration::ZERO].iter().chain(lasting) {
            now += *time;
            step = step.next(1, now, &config);
            step = step.reserved(step.size, now);
            sizes.push(step.size);
        }
        sizes
    }

    #[test]
    fn a_burst_is_served_step_by_step() {
        let burst = [Duration::from_millis(1); FAST_MIN as usize - 1];
        assert_eq!(sizes(&burst, 1000), [100; FAST_MIN as usize]);
    }

    #[test]
    fn a_key_in_demand_reserves_more_up_to_the_limit() {
        let steady = [Duration::from_millis(1); FAST_MIN as usize + 5];
        let grown = sizes(&steady, 1000);
        assert_eq!(
            grown[FAST_MIN as usize..],
            [200, 400, 800, 1000, 1000, 1000]
        );
        assert!(sizes(&steady, 1).iter().all(|&size| size == 100));
    }

    #[test]
    fn a_request_that_wants_many_gets_them_up_to_the_limit() {
        let now = Instant::now();
        let sizes = [1, 100, 500, 5000].map(|wanted| {
            let step = StepSize::default().next(wanted, now, &config(1000));
            step.size
        });
        assert_eq!(sizes, [100, 100, 500, 1000]);
    }

    #[test]
    fn a_reservation_that_lasts_keeps_the_size_and_a_long_one_resets_it() {
        let mut times = vec![Duration::from_millis(1); FAST_MIN as usize];
        times.extend([FAST_BELOW, FAST_BELOW, RESET_FROM]);
        let sizes = sizes(&times, 1000);
        assert_eq!(sizes[FAST_MIN as usize..], [200, 200, 200, 100]);
    }
}
