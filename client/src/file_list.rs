//! Lists of a user's files, and their number and size.

use std::vec;

use proto::file_list::{self, LIST_REPLY_MAX, ListRequest, ListedFile, USAGE_REPLY_MAX, UsagePart};
use proto::storage::StorageRequest;
use proto::{AppId, FileId, FileKey, UserId};

use crate::call::Call;
use crate::candidates::ask_each;
use crate::server_queue::Peer;
use crate::{Client, Error};

/// Which files of a user to list or count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The application.
    pub app: AppId,
    /// The user within it.
    pub user: UserId,
    /// Only files whose ids begin with this text.
    pub prefix: Option<FileId>,
    /// Only files that were stored at this time or later, in seconds since the epoch.
    pub since: Option<i64>,
}

/// Number and size of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Number of files.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

/// The files of a user, from [`Client::list`]. It asks a storage for a part when the one before is used up,
/// and ends after an error. A file that is stored meanwhile may be missing.
#[derive(Debug)]
pub struct FileList {
    client: Client,
    /// The request for the next part; none after the last one.
    request: Option<ListRequest>,
    part: vec::IntoIter<ListedFile>,
}

impl Client {
    /// The files of a user, in the order of ids of the storages' database. Holds at most 1,000 files in
    /// memory.
    ///
    /// # Errors
    /// As items: a storage refused, or none could be asked. [`ErrorKind::NotFound`](crate::ErrorKind) for a
    /// user without a group; [`Error::Unsupported`] if all storages are of the C++ system.
    pub fn list(&self, query: ListQuery) -> FileList {
        FileList {
            client: self.clone(),
            request: Some(query.into_request()),
            part: Vec::new().into_iter(),
        }
    }

    /// Number and size of the files of a user.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub fn usage(&self, query: ListQuery) -> Result<Usage, Error> {
        let mut request = query.into_request();
        let mut sums = Usage::default();
        loop {
            let part = self.usage_part(&request)?;
            sums.files += part.files;
            sums.bytes = sums.bytes.saturating_add(part.bytes);
            if part.next.is_empty() {
                return Ok(sums);
            }
            request.after = part.next;
        }
    }

    fn list_part(&self, request: &ListRequest) -> Result<file_list::FileList, Error> {
        let command = StorageRequest::List(Box::new(request.clone()));
        let call = Call::storage(&command, LIST_REPLY_MAX, file_list::FileList::decode);
        self.part("list", request, &call)
    }

    fn usage_part(&self, request: &ListRequest) -> Result<UsagePart, Error> {
        let command = StorageRequest::Usage(Box::new(request.clone()));
        let call = Call::storage(&command, USAGE_REPLY_MAX, UsagePart::decode);
        self.part("usage", request, &call)
    }

    /// Asks the storages of the user in turn. One without the commands of lists is remembered for 10
    /// minutes.
    fn part<T>(
        &self,
        what: &'static str,
        request: &ListRequest,
        call: &Call<T>,
    ) -> Result<T, Error> {
        let key = any_file_of(request);
        ask_each(self, what, &key, |peer| {
            let ask = |choice| Ok(Some(self.shared.pool.call_on(choice, peer, call)?));
            let is_alive = || self.is_alive(peer, &key).map(|()| None);
            let part = self.shared.no_list.ask(peer.address, ask, is_alive)?;
            part.ok_or_else(|| Error::Unsupported {
                address: peer.address.clone(),
                command: "LIST",
            })
        })
    }

    /// Checks that a storage answers a command of the C++ system, also with a refusal.
    fn is_alive(&self, peer: Peer<'_>, key: &FileKey) -> Result<(), Error> {
        match self.file_size_at(peer, key) {
            Ok(_) | Err(Error::Fault { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl ListQuery {
    fn into_request(self) -> ListRequest {
        ListRequest {
            app: self.app,
            user: self.user,
            prefix: self.prefix,
            since: self.since.unwrap_or(i64::MIN),
            after: String::new(),
        }
    }
}

/// A key that finds the storages of the user. All files of a user have the same ones.
fn any_file_of(request: &ListRequest) -> FileKey {
    FileKey {
        app: request.app.clone(),
        user: request.user.clone(),
        file: FileId::new("any").expect("it is an id"),
    }
}

impl Iterator for FileList {
    type Item = Result<ListedFile, Error>;

    fn next(&mut self) -> Option<Result<ListedFile, Error>> {
        loop {
            if let Some(file) = self.part.next() {
                return Some(Ok(file));
            }
            let mut request = self.request.take()?;
            match self.client.list_part(&request) {
                Ok(part) => {
                    self.part = part.files.into_iter();
                    request.after = part.next;
                    self.request = (!request.after.is_empty()).then_some(request);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
