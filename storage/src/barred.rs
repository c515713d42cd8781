//! Users whose uploads are refused for a while: they are being moved to another group, and what was
//! stored here after that would never be found again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proto::{AppId, ErrorCode, Fault, UserId};

/// Most users refused at a time.
const USERS_MAX: usize = 10_000;
/// Longest wait for uploads that are being stored when their user is barred.
const PATIENCE: Duration = Duration::from_secs(20);

/// An application's user.
pub(crate) type User = (AppId, UserId);

/// The users that are barred, and those whose files are being stored.
#[derive(Debug, Default)]
pub(crate) struct Barred {
    state: Mutex<State>,
    /// A file was stored, or is not going to be.
    stored: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bars: HashMap<User, Vec<Bar>>,
    /// How many files of each user are about to get their rows.
    storing: HashMap<User, usize>,
}

/// One order to refuse a user's uploads.
#[derive(Debug)]
struct Bar {
    mark: u64,
    until: Instant,
}

/// A file is being stored, as long as this lives.
#[derive(Debug)]
pub(crate) struct Storing<'a> {
    barred: &'a Barred,
    user: User,
}

impl Barred {
    /// Whether uploads of a user are taken.
    ///
    /// # Errors
    /// Unavailable: to ask a tracker again may help.
    pub(crate) fn check(&self, user: &User, now: Instant) -> Result<(), Fault> {
        self.state.lock().check(user, now)
    }

    /// A file of the user gets its row now. Who bars the user waits for that.
    ///
    /// # Errors
    /// As [`Barred::check`].
    pub(crate) fn store(&self, user: User, now: Instant) -> Result<Storing<'_>, Fault> {
        let mut state = self.state.lock();
        state.check(&user, now)?;
        *state.storing.entry(user.clone()).or_default() += 1;
        let barred = self;
        Ok(Storing { barred, user })
    }

    /// Refuses uploads of a user until then; when this returns none is being stored. Tells whether
    /// they were refused already by an order of this mark.
    ///
    /// # Errors
    /// Busy: a file is being stored for long, or too many users are barred. Nothing has changed.
    pub(crate) fn bar(
        &self,
        user: &User,
        mark: u64,
        until: Instant,
        now: Instant,
    ) -> Result<bool, Fault> {
        let busy = |text: &str| Err(Fault::new(ErrorCode::Busy, text));
        let mut state = self.state.lock();
        state.forget_old(now);
        if state.bars.len() >= USERS_MAX && !state.bars.contains_key(user) {
            return busy("uploads of too many users are refused already");
        }
        let bars = state.bars.entry(user.clone()).or_default();
        let known = bars.iter_mut().find(|bar| bar.mark == mark);
        let renewed = known.is_some();
        match known {
            Some(bar) => bar.until = until,
            None => bars.push(Bar { mark, until }),
        }
        let is_storing = |state: &mut State| state.storing.contains_key(user);
        let waited = self.stored.wait_while_for(&mut state, is_storing, PATIENCE);
        if waited.timed_out() {
            state.admit(user, Some(mark));
            return busy("an upload of the user is being stored and does not end");
        }
        Ok(renewed)
    }

    /// Takes uploads of a user again, as far as orders of this mark, or of any, are concerned.
    pub(crate) fn admit(&self, user: &User, mark: Option<u64>) {
        self.state.lock().admit(user, mark);
    }
}

impl State {
    fn check(&self, user: &User, now: Instant) -> Result<(), Fault> {
        let mut bars = self.bars.get(user).into_iter().flatten();
        if bars.any(|bar| bar.until > now) {
            let text = "the user is moved to another group: ask a tracker again";
            return Err(Fault::new(ErrorCode::Unavailable, text));
        }
        Ok(())
    }

    fn admit(&mut self, user: &User, mark: Option<u64>) {
        self.retain(|other, bar| other != user || mark.is_some_and(|mark| mark != bar.mark));
    }

    fn forget_old(&mut self, now: Instant) {
        self.retain(|_, bar| bar.until > now);
    }

    fn retain(&mut self, keep: impl Fn(&User, &Bar) -> bool) {
        self.bars.retain(|user, bars| {
            bars.retain(|bar| keep(user, bar));
            !bars.is_empty()
        });
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        let mut state = self.barred.state.lock();
        if let Some(count) = state.storing.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                state.storing.remove(&self.user);
                self.barred.stored.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn user(name: &str) -> User {
        ("tnvideo".parse().unwrap(), name.parse().unwrap())
    }

    #[test]
    fn a_bar_ends_by_itself_or_by_its_own_mark() {
        let barred = Barred::default();
        let (alice, bob, now) = (user("alice"), user("bob"), Instant::now());
        let secs = |secs| now + Duration::from_secs(secs);
        let is_taken = |at| barred.check(&alice, at).is_ok();
        assert_eq!(barred.bar(&alice, 1, secs(10), now), Ok(false));
        let refused = barred.store(alice.clone(), now).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unavailable);
        barred.check(&bob, now).unwrap();
        assert!(!is_taken(secs(9)) && is_taken(secs(10)));
        // It is given again, and another one beside it.
        assert_eq!(barred.bar(&alice, 1, secs(20), secs(9)), Ok(true));
        assert_eq!(barred.bar(&alice, 2, secs(15), secs(9)), Ok(false));
        barred.admit(&alice, Some(1));
        assert!(!is_taken(secs(14)) && is_taken(secs(15)));
        // One that has ended was not renewed in time.
        assert_eq!(barred.bar(&alice, 2, secs(30), secs(15)), Ok(false));
        barred.admit(&alice, None);
        assert!(is_taken(secs(15)));
        assert!(barred.state.lock().bars.is_empty());
    }

    #[test]
    fn who_bars_a_user_waits_for_what_is_being_stored() {
        let barred = Barred::default();
        let (alice, bob, now) = (user("alice"), user("bob"), Instant::now());
        let until = now + Duration::from_secs(60);
        let _other = barred.store(bob, now).unwrap();
        let storing = [(); 2].map(|()| barred.store(alice.clone(), now).unwrap());
        thread::scope(|scope| {
            let order = scope.spawn(|| barred.bar(&alice, 1, until, now));
            while barred.check(&alice, now).is_ok() {
                thread::yield_now();
            }
            let [first, second] = storing;
            drop(first);
            assert!(!order.is_finished());
            drop(second);
            assert_eq!(order.join().unwrap(), Ok(false));
        });
    }
}
