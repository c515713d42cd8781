//! Rows that wait are written together: one statement of several rows costs the server little more
//! than one of one, and one wait for its disk.
//!
//! There is no thread for it. Of those who bring a row, up to [`WRITERS_MAX`] write at a time; who
//! comes meanwhile waits, until another has written the row along or it is the row's own turn.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, bounded};
use db::DbError;
use parking_lot::Mutex;

/// Statements at a time. One alone would leave the server idle between two of them.
const WRITERS_MAX: usize = 2;
/// Most rows of one statement. Statements have a power of two of them: each length is prepared
/// once for each connection.
const ROWS_MAX: usize = 16;

/// The rows that wait, each of a table `N`; `T` is what becomes of one.
pub(super) struct Together<R, N, T> {
    state: Mutex<State<R, N, T>>,
}

struct State<R, N, T> {
    waiting: VecDeque<Waiting<R, N, T>>,
    n_writers: usize,
}

struct Waiting<R, N, T> {
    row: R,
    table: N,
    news: Sender<News<R, T>>,
}

/// What the owner of a row that waits is told.
enum News<R, T> {
    Written(Result<T, DbError>),
    /// It is its own turn to write: the row back.
    Turn(R),
}

impl<R, N, T> Default for Together<R, N, T> {
    fn default() -> Together<R, N, T> {
        Together {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                n_writers: 0,
            }),
        }
    }
}

impl<R, N: PartialEq + Copy, T> Together<R, N, T> {
    /// Has a row written, by `write` or by that of another. `write` gets rows of one table and
    /// tells what became of each, in their order.
    ///
    /// # Errors
    /// What `write` says of the row.
    pub(super) fn insert(
        &self,
        table: N,
        row: R,
        write: impl FnOnce(&[R]) -> Vec<Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let row = match self.enter(table, row) {
            Ok(row) => row,
            Err(news) => match news.recv() {
                Ok(News::Turn(row)) => row,
                Ok(News::Written(result)) => return result,
                // Its writer panicked.
                Err(_) => return Err(unknown()),
            },
        };
        let _turn = Turn(self);
        let mut rows = vec![row];
        let owners = self.take(table, &mut rows);
        let mut results = write(&rows).into_iter();
        let own = results.next();
        for (owner, result) in owners.into_iter().zip(results) {
            // One that panicked meanwhile is not told.
            let _ = owner.send(News::Written(result));
        }
        own.unwrap_or_else(|| Err(unknown()))
    }

    /// The row back, to be written at once; or, of one that has to wait, where its owner hears of
    /// it.
    fn enter(&self, table: N, row: R) -> Result<R, Receiver<News<R, T>>> {
        let mut state = self.state.lock();
        if state.n_writers < WRITERS_MAX {
            state.n_writers += 1;
            return Ok(row);
        }
        let (news, receiver) = bounded(1);
        state.waiting.push_back(Waiting { row, table, news });
        Err(receiver)
    }

    /// Adds rows of the table that wait to the one in `rows`; returns who is to hear of them.
    fn take(&self, table: N, rows: &mut Vec<R>) -> Vec<Sender<News<R, T>>> {
        let mut state = self.state.lock();
        let of_table = |waiting: &&Waiting<R, N, T>| waiting.table == table;
        let n_waiting = state.waiting.iter().filter(of_table).count();
        let n_rows = 1 << (n_waiting + 1).min(ROWS_MAX).ilog2();
        let mut owners = Vec::with_capacity(n_rows - 1);
        let mut idx = 0;
        while rows.len() < n_rows {
            if state.waiting[idx].table != table {
                idx += 1;
            } else if let Some(Waiting { row, news, .. }) = state.waiting.remove(idx) {
                rows.push(row);
                owners.push(news);
            }
        }
        owners
    }
}

/// The right to write; goes to the row that waits longest, also after a panic.
struct Turn<'a, R, N, T>(&'a Together<R, N, T>);

impl<R, N, T> Drop for Turn<'_, R, N, T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        while let Some(Waiting { row, news, .. }) = state.waiting.pop_front() {
            if news.send(News::Turn(row)).is_ok() {
                return;
            }
        }
        state.n_writers -= 1;
    }
}

fn unknown() -> DbError {
    DbError::UnknownOutcome { source: None }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn every_row_is_written_once_and_its_owner_told() {
        let together: Together<usize, bool, ()> = Together::default();
        let written = Mutex::new(Vec::new());
        let (n_calls, n_writing) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Rows with a 7 at the end fail; those of odd numbers are of the other table.
        let write = |rows: &[usize]| {
            assert!(rows.len().is_power_of_two() && rows.len() <= ROWS_MAX);
            assert!(rows.iter().all(|row| row % 2 == rows[0] % 2));
            assert!(n_writing.fetch_add(1, Ordering::SeqCst) < WRITERS_MAX);
            n_calls.fetch_add(1, Ordering::SeqCst);
            thread::yield_now();
            written.lock().extend_from_slice(rows);
            n_writing.fetch_sub(1, Ordering::SeqCst);
            let result = |row: &usize| {
                if row % 10 == 7 {
                    Err(DbError::Closed)
                } else {
                    Ok(())
                }
            };
            rows.iter().map(result).collect()
        };
        thread::scope(|scope| {
            for start in 0..8 {
                let (together, write) = (&together, &write);
                scope.spawn(move || {
                    for row in (start..4000).step_by(8) {
                        let result = together.insert(row % 2 == 1, row, write);
                        assert_eq!(result.is_err(), row % 10 == 7, "{row}");
                    }
                });
            }
        });
        let mut written = written.into_inner();
        written.sort_unstable();
        assert_eq!(written, (0..4000).collect::<Vec<_>>());
        assert!(n_calls.into_inner() <= 4000);
        assert_eq!(together.state.lock().n_writers, 0);
    }

    #[test]
    fn a_writer_that_panics_takes_its_turn_with_it_only() {
        let together: Together<u32, (), ()> = Together::default();
        for _ in 0..2 * WRITERS_MAX {
            let insert = || together.insert((), 1, |_| panic!("as the test wants it"));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(insert)).is_err());
        }
        assert!(
            together
                .insert((), 2, |rows| vec![Ok(()); rows.len()])
                .is_ok()
        );
    }
}
