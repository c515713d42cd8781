//! A stored file that is sent to a client.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use net::OpenFile;
use proto::{ErrorCode, Fault, FileKey};

use crate::clock::epoch_secs;
use crate::disks::disk_error::is_content_lost;
use crate::disks::open_files::StoredFile;
use crate::globals::Globals;

/// An open file that reports damage found while it is sent.
pub(crate) struct SentFile {
    pub(crate) globals: Arc<Globals>,
    pub(crate) file: Arc<StoredFile>,
    pub(crate) key: FileKey,
    /// Spelled as in its row.
    pub(crate) path: String,
}

impl OpenFile for SentFile {
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()> {
        let file = self.file.file();
        let _permit = file.acquire()?;
        act(file.file());
        Ok(())
    }

    /// Notes damage. A client whose reply has begun sees only that it ends early.
    fn cannot_read(&self, offset: u64, error: &io::Error) -> ErrorCode {
        let SentFile {
            globals, key, path, ..
        } = self;
        // A kept descriptor may be what fails: the next request opens the file anew.
        globals.paths.forget_open_file(path);
        let mut code = ErrorCode::Damaged;
        if error.kind() == ErrorKind::UnexpectedEof {
            let what = format!("{path} became shorter while it was sent from byte {offset} on");
            globals.damage.note(key, path, &what, None);
        } else if is_content_lost(error) {
            let what = format!("{path} cannot be read at byte {offset}: {error}");
            globals.damage.note(key, path, &what, Some(offset));
        } else {
            code = ErrorCode::Unavailable;
        }
        let text = format!("{path} cannot be read at byte {offset}: {error}");
        globals.errors.note(&Fault::new(code, text), epoch_secs());
        code
    }
}
