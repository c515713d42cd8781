//! Whether a database can be used: read and write apart, because a full disk, a damaged file or a
//! server made read-only still serves reads.

use super::DbError;

/// What was found when the database was used last.
#[derive(Debug, Clone)]
pub struct Availability {
    /// Whether rows can be read, else why not.
    pub reads: Result<(), DbError>,
    /// Whether rows can be written, else why not.
    pub writes: Result<(), DbError>,
}

impl Availability {
    /// A database that is in the same state for reads and writes.
    pub fn of_both(state: Result<(), DbError>) -> Availability {
        Availability {
            reads: state.clone(),
            writes: state,
        }
    }

    /// Whether everything can be done.
    ///
    /// # Errors
    /// Why not. That rows cannot be read counts for more than that they cannot be written.
    pub fn full(&self) -> Result<(), DbError> {
        self.reads.clone().and_then(|()| self.writes.clone())
    }
}
