//! When requests arrived. A process that was stopped reads what clients sent to it meanwhile only when it
//! goes on.

use std::time::Duration;

use parking_lot::Mutex;

/// Longest time between two beats of a process that runs. A longer one is a pause.
pub(crate) const PAUSE_MIN: Duration = Duration::from_secs(2);
/// Requests that arrived during a pause are read within this time after it.
const BACKLOG: Duration = Duration::from_secs(5);

/// Dates what is read from clients. All times are those of [`boot_time`](crate::clock::boot_time).
#[derive(Debug, Default)]
pub(crate) struct ArrivalClock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the process last ran, as far as is known.
    beat: Option<Duration>,
    /// The latest pause.
    pause: Option<Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    from: Duration,
    until: Duration,
}

impl ArrivalClock {
    /// Notes that the process runs. A job calls it far more often than each [`PAUSE_MIN`].
    pub(crate) fn beat(&self, now: Duration) {
        self.0.lock().beat(now);
    }

    /// The earliest time at which something may have arrived that is read now: the beginning of a pause
    /// that has just ended.
    pub(crate) fn arrival(&self, now: Duration) -> Duration {
        let mut state = self.0.lock();
        // The reader may run before the job does.
        state.beat(now);
        state.pause_before(now).map_or(now, |pause| pause.from)
    }
}

impl State {
    fn beat(&mut self, now: Duration) {
        let before = self.beat.replace(now).unwrap_or(now);
        if now.saturating_sub(before) > PAUSE_MIN {
            let from = self.pause_before(before).map_or(before, |pause| pause.from);
            self.pause = Some(Pause { from, until: now });
        }
    }

    /// The pause whose backlog may not be read yet.
    fn pause_before(&self, now: Duration) -> Option<Pause> {
        self.pause.filter(|pause| now < pause.until + BACKLOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_after_a_pause_may_have_arrived_at_its_beginning() {
        let clock = ArrivalClock::default();
        let at = Duration::from_secs;
        assert_eq!(clock.arrival(at(100)), at(100));
        for second in 101..110 {
            clock.beat(at(second));
            assert_eq!(clock.arrival(at(second)), at(second));
        }
        // The reader runs first, or the job.
        assert_eq!(clock.arrival(at(300)), at(109));
        clock.beat(at(301));
        assert_eq!(clock.arrival(at(302)), at(109));
        clock.beat(at(303));
        clock.beat(at(305));
        assert_eq!(clock.arrival(at(306)), at(306));
        // A pause within the backlog of another one.
        clock.beat(at(400));
        clock.beat(at(500));
        assert_eq!(clock.arrival(at(501)), at(306));
    }
}
