//! How many numbers a key reserves at a time: one step, and more when steps are used up faster than
//! a database should be asked.

use std::time::{Duration, Instant};

/// What is used up sooner asks the database often enough to be slowed down by it.
const QUICK: Duration = Duration::from_millis(50);
/// What lasts longer was more than is needed.
const LONG: Duration = Duration::from_secs(1);
/// So many in a row have to be used up quickly before more are reserved at a time: a burst is not
/// worth that a restart skips more than one step.
const QUICK_MIN: u32 = 16;

/// Numbers reserved at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At least, and by a key that is not in demand.
    pub(crate) step: u32,
    /// At most; less than `step` counts as that.
    pub(crate) step_max: u32,
}

/// How fast the numbers of one key are used up.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Demand {
    /// Reserved last; 0 at first.
    reserved: u32,
    /// When.
    since: Option<Instant>,
    /// Reservations in a row that were used up quickly.
    n_quick: u32,
}

impl Demand {
    /// The demand once the numbers that were reserved last are used up, at `now`, and what to
    /// reserve next.
    pub(crate) fn after(self, now: Instant, limits: Limits) -> (Demand, u32) {
        let Limits { step, step_max } = limits;
        let lasted = self.since.map(|since| now.saturating_duration_since(since));
        let (n_quick, wanted) = match lasted {
            Some(lasted) if lasted < QUICK => {
                let n_quick = self.n_quick.saturating_add(1);
                let grows = n_quick >= QUICK_MIN;
                (n_quick, self.reserved.saturating_mul(1 + u32::from(grows)))
            }
            Some(lasted) if lasted < LONG => (self.n_quick, self.reserved),
            _ => (0, step),
        };
        let demand = Demand { n_quick, ..self };
        (demand, wanted.clamp(step, step_max.max(step)))
    }

    /// Takes note of what was reserved at `now`.
    pub(crate) fn reserved(self, count: u32, now: Instant) -> Demand {
        Demand {
            reserved: count,
            since: Some(now),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        step: 100,
        step_max: 1000,
    };

    /// What is reserved when reservation after reservation lasts so long.
    fn reservations(lasting: &[Duration], limits: Limits) -> Vec<u32> {
        let mut now = Instant::now();
        let mut demand = Demand::default();
        let mut counts = Vec::new();
        for time in [Duration::ZERO].iter().chain(lasting) {
            now += *time;
            let (used_up, count) = demand.after(now, limits);
            demand = used_up.reserved(count, now);
            counts.push(count);
        }
        counts
    }

    #[test]
    fn a_burst_is_served_step_by_step() {
        let burst = [Duration::from_millis(1); QUICK_MIN as usize - 1];
        assert_eq!(reservations(&burst, LIMITS), [100; QUICK_MIN as usize]);
    }

    #[test]
    fn a_key_in_demand_reserves_more_up_to_the_limit() {
        let steady = [Duration::from_millis(1); QUICK_MIN as usize + 5];
        let counts = reservations(&steady, LIMITS);
        assert_eq!(
            counts[QUICK_MIN as usize..],
            [200, 400, 800, 1000, 1000, 1000]
        );
        let exact = Limits {
            step_max: 1,
            ..LIMITS
        };
        assert!(reservations(&steady, exact).iter().all(|&n| n == 100));
    }

    #[test]
    fn what_lasts_long_enough_stays_and_what_lasts_longer_is_a_step_again() {
        let mut times = vec![Duration::from_millis(1); QUICK_MIN as usize];
        times.extend([QUICK, QUICK, LONG]);
        let counts = reservations(&times, LIMITS);
        assert_eq!(counts[QUICK_MIN as usize..], [200, 200, 200, 100]);
    }
}
