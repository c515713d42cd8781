//! Users whose uploads are refused for a while. They are being moved to another group, and a file
//! stored here after that would not be found.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proto::{AppId, ErrorCode, Fault, UserId};

/// Limit on blocked users.
const USERS_MAX: usize = 10_000;
/// Longest wait for uploads in progress when their user is blocked.
const UPLOADS_TIMEOUT: Duration = Duration::from_secs(20);

/// An application's user.
pub(crate) type User = (AppId, UserId);

/// The blocked users, and the uploads that are about to insert rows.
#[derive(Debug, Default)]
pub(crate) struct UploadBlocks {
    state: Mutex<State>,
    /// An active upload has ended.
    upload_ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<User, Vec<UploadBlock>>,
    /// Uploads of each user that are about to insert their rows.
    active: HashMap<User, usize>,
}

/// An order to refuse a user's uploads.
#[derive(Debug)]
struct UploadBlock {
    lease_id: u64,
    until: Instant,
}

/// An upload that is about to insert its row, until this is dropped.
#[derive(Debug)]
pub(crate) struct ActiveUpload<'a> {
    upload_blocks: &'a UploadBlocks,
    user: User,
}

impl UploadBlocks {
    /// Checks that uploads of a user are accepted.
    ///
    /// # Errors
    /// Unavailable: the client asks a tracker again.
    pub(crate) fn check(&self, user: &User, now: Instant) -> Result<(), Fault> {
        self.state.lock().check(user, now)
    }

    /// Registers an upload that is about to insert its row. An order to block the user waits for
    /// it.
    ///
    /// # Errors
    /// As [`UploadBlocks::check`].
    pub(crate) fn begin_store(&self, user: User, now: Instant) -> Result<ActiveUpload<'_>, Fault> {
        let mut state = self.state.lock();
        state.check(&user, now)?;
        *state.active.entry(user.clone()).or_default() += 1;
        let upload_blocks = self;
        Ok(ActiveUpload {
            upload_blocks,
            user,
        })
    }

    /// Refuses uploads of a user until `until`. No upload of the user is active when it returns.
    /// Returns true if an order of this lease was in force already.
    ///
    /// # Errors
    /// Busy: an upload does not end, or too many users are blocked. Nothing has changed.
    pub(crate) fn block(
        &self,
        user: &User,
        lease_id: u64,
        until: Instant,
        now: Instant,
    ) -> Result<bool, Fault> {
        let busy = |text: &str| Err(Fault::new(ErrorCode::Busy, text));
        let mut state = self.state.lock();
        state.forget_old(now);
        if state.blocks.len() >= USERS_MAX && !state.blocks.contains_key(user) {
            return busy("uploads of too many users are refused already");
        }
        let blocks = state.blocks.entry(user.clone()).or_default();
        let known = blocks.iter_mut().find(|block| block.lease_id == lease_id);
        let renewed = known.is_some();
        match known {
            Some(block) => block.until = until,
            None => blocks.push(UploadBlock { lease_id, until }),
        }
        let is_active = |state: &mut State| state.active.contains_key(user);
        let waited = self
            .upload_ended
            .wait_while_for(&mut state, is_active, UPLOADS_TIMEOUT);
        if waited.timed_out() {
            state.unblock(user, Some(lease_id));
            return busy("an upload of the user is being stored and does not end");
        }
        Ok(renewed)
    }

    /// Ends the orders of this lease, or all orders, for a user.
    pub(crate) fn unblock(&self, user: &User, lease_id: Option<u64>) {
        self.state.lock().unblock(user, lease_id);
    }
}

impl State {
    fn check(&self, user: &User, now: Instant) -> Result<(), Fault> {
        let mut blocks = self.blocks.get(user).into_iter().flatten();
        if blocks.any(|block| block.until > now) {
            let text = "the user is moved to another group: ask a tracker again";
            return Err(Fault::new(ErrorCode::Unavailable, text));
        }
        Ok(())
    }

    fn unblock(&mut self, user: &User, lease_id: Option<u64>) {
        self.retain(|other, block| {
            other != user || lease_id.is_some_and(|lease_id| lease_id != block.lease_id)
        });
    }

    fn forget_old(&mut self, now: Instant) {
        self.retain(|_, block| block.until > now);
    }

    fn retain(&mut self, keep: impl Fn(&User, &UploadBlock) -> bool) {
        self.blocks.retain(|user, blocks| {
            blocks.retain(|block| keep(user, block));
            !blocks.is_empty()
        });
    }
}

impl Drop for ActiveUpload<'_> {
    fn drop(&mut self) {
        let mut state = self.upload_blocks.state.lock();
        if let Some(count) = state.active.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                state.active.remove(&self.user);
                self.upload_blocks.upload_ended.notify_all();
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
        let upload_blocks = UploadBlocks::default();
        let (alice, bob, now) = (user("alice"), user("bob"), Instant::now());
        let secs = |secs| now + Duration::from_secs(secs);
        let is_taken = |at| upload_blocks.check(&alice, at).is_ok();
        assert_eq!(upload_blocks.block(&alice, 1, secs(10), now), Ok(false));
        let refused = upload_blocks.begin_store(alice.clone(), now).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unavailable);
        upload_blocks.check(&bob, now).unwrap();
        assert!(!is_taken(secs(9)) && is_taken(secs(10)));
        // It is given again, and another one beside it.
        assert_eq!(upload_blocks.block(&alice, 1, secs(20), secs(9)), Ok(true));
        assert_eq!(upload_blocks.block(&alice, 2, secs(15), secs(9)), Ok(false));
        upload_blocks.unblock(&alice, Some(1));
        assert!(!is_taken(secs(14)) && is_taken(secs(15)));
        // One that has ended was not renewed in time.
        assert_eq!(
            upload_blocks.block(&alice, 2, secs(30), secs(15)),
            Ok(false)
        );
        upload_blocks.unblock(&alice, None);
        assert!(is_taken(secs(15)));
        assert!(upload_blocks.state.lock().blocks.is_empty());
    }

    #[test]
    fn who_bars_a_user_waits_for_what_is_being_stored() {
        let upload_blocks = UploadBlocks::default();
        let (alice, bob, now) = (user("alice"), user("bob"), Instant::now());
        let until = now + Duration::from_secs(60);
        let _other = upload_blocks.begin_store(bob, now).unwrap();
        let active = [(); 2].map(|()| upload_blocks.begin_store(alice.clone(), now).unwrap());
        thread::scope(|scope| {
            let order = scope.spawn(|| upload_blocks.block(&alice, 1, until, now));
            while upload_blocks.check(&alice, now).is_ok() {
                thread::yield_now();
            }
            let [first, second] = active;
            drop(first);
            assert!(!order.is_finished());
            drop(second);
            assert_eq!(order.join().unwrap(), Ok(false));
        });
    }
}
