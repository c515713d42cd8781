//! The next storage of a download, after its first one or after a failure.

use proto::storage::{ByteRange, RangeSpec};

use super::Download;
use crate::Error;
use crate::open_at::{Opened, open_at_tcp, read_at};
use crate::retry::{Next, Retry};
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;

impl Download {
    /// Opens the rest of the part at the next storage. Without `wait`, returns false while a pause
    /// between two rounds lasts.
    pub(super) fn reopen(&mut self, wait: bool) -> Result<bool, Error> {
        loop {
            let next = self.retry.next(&self.client, &self.key, &mut self.storages);
            let (address, time) = match next {
                Next::Ask(address, time) => (address, time),
                Next::Pause if wait => {
                    self.retry.sleep();
                    continue;
                }
                Next::Pause => return Ok(false),
                Next::GiveUp => {
                    let errors = std::mem::take(&mut self.retry).into_errors();
                    return Err(Error::all_failed("download", errors));
                }
            };
            match self.open_rest(Peer::new(&address, time), wait) {
                Ok(()) => return Ok(true),
                Err(error) if error.moves_on() => self.retry.failed(error),
                Err(error) => {
                    self.retry = Retry::default();
                    return Err(error);
                }
            }
        }
    }

    fn open_rest(&mut self, peer: Peer<'_>, wait: bool) -> Result<(), Error> {
        let range = RangeSpec::from(ByteRange {
            offset: self.offset,
            len: self.remaining,
        });
        let (client, key, choice) = (&self.client, &self.key, ConnectionChoice::Any);
        let local = &client.shared.local;
        if wait && let Some(asked) = local.begin_ask(client, peer) {
            local.finish_ask(client, asked);
        }
        let file = match self.avoids_files {
            true => None,
            false => local.open(peer, key),
        };
        let (stat, origin): Opened = match file {
            Some(file) => client.opened_locally(peer, file),
            None if self.knows_read.as_ref() == Some(peer.address) => {
                read_at(client, choice, peer, key, range, None)
            }
            None => open_at_tcp(client, peer, key, range, None),
        }?;
        if !self.stat.may_be_same(&stat) {
            return Err(Error::Replaced(self.key.clone()));
        }
        self.set_origin(origin);
        Ok(())
    }
}
