//! Whether a database can be used. Reads and writes are separate: a full disk, a damaged file or a
//! read-only server still serves reads.

use super::DbError;

/// The state of the database at its latest use.
#[derive(Debug, Clone)]
pub struct Availability {
    /// The error of reads, if there is one.
    pub reads: Result<(), DbError>,
    /// The error of writes, if there is one.
    pub writes: Result<(), DbError>,
}

impl Availability {
    /// The same state for reads and writes.
    pub fn of_both(state: Result<(), DbError>) -> Availability {
        Availability {
            reads: state.clone(),
            writes: state,
        }
    }

    /// True if rows can be read and written.
    ///
    /// # Errors
    /// The error of reads, or else that of writes.
    pub fn full(&self) -> Result<(), DbError> {
        self.reads.clone().and_then(|()| self.writes.clone())
    }
}
