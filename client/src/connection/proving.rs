//! The proof of a key before the first request of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::peer_proof::{AUTHENTICATE_REPLY_LEN, ClientProof, UNIX_SOCKET};
use proto::{ErrorCode, ServerKind};

use super::{Connection, PendingReply, SENDING};
use crate::dial::dial_any;
use crate::peer_keys::PeerKeys;
use crate::unsupported::may_be_unknown;
use crate::{ConnectionConfig, Error};

impl Connection {
    /// Proves the configured key to the server and verifies the server's proof, within the limit of the request
    /// that has begun. Only the first call of a connection does so; it costs one round trip. `command` is that
    /// of the request; it tells the kind of the server.
    ///
    /// # Errors
    /// The server does not prove the key, and is not in `legacy_hosts`; or the connection broke.
    pub(crate) fn prove_key(&mut self, command: u8) -> Result<(), Error> {
        let Some(config) = self.unproved.take() else {
            return Ok(());
        };
        let (Some(keys), Some(server)) = (&config.keys, ServerKind::of_command(command)) else {
            return Ok(());
        };
        // The server of a Unix socket is known by its user, and has no address to fall back to.
        let is_legacy = self.descriptors.is_none() && keys.is_legacy(self.peer_addr()?.ip());
        if is_legacy && keys.no_proof.has(&self.address) {
            return Ok(());
        }
        let mut proved = self.exchange_proofs(server, keys);
        if is_legacy && matches!(proved, Err(Error::Io { .. })) {
            // A restarting server closes the connection once, a C++ server every time.
            self.stream = dial_any(&self.address, &config)?;
            proved = self.exchange_proofs(server, keys);
        }
        match proved {
            Err(error) if is_legacy && may_lack_proof(&error) => {
                self.continue_without_proof(&config, keys, &error)?;
            }
            Err(error) if may_be_unknown(&error) => {
                return Err(self.give_up_untrusted(format!("it knows no proof of a key ({error})")));
            }
            proved => proved?,
        }
        // The request now starts as if nothing had been sent.
        self.pending = PendingReply::Unknown;
        self.heard = false;
        self.sent = 0;
        Ok(())
    }

    /// The address of the server at the other end.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn peer_addr(&mut self) -> Result<SocketAddr, Error> {
        if self.descriptors.is_some() {
            return Ok(UNIX_SOCKET);
        }
        let peer = self.stream.peer_addr();
        peer.map_err(|error| self.io_error(SENDING, error))
    }

    fn exchange_proofs(&mut self, server: ServerKind, keys: &PeerKeys) -> Result<(), Error> {
        let peer = self.peer_addr()?;
        let proof = ClientProof::begin(server, keys.signing(), peer, rand::random());
        self.command = server.authenticate();
        self.send_within_limit(&proof.authenticate())?;
        let len = self.read_head(server.reply())?;
        let body = self.read_body(len, AUTHENTICATE_REPLY_LEN)?;
        let prove = proof.prove(&body);
        let prove = prove.map_err(|error| self.protocol_error(error.into()))?;
        match prove {
            Some(prove) => self.send_within_limit(&prove),
            None => Err(self.give_up_untrusted("its proof of the key is wrong".to_owned())),
        }
    }

    /// Goes on with a server in `legacy_hosts` that did not prove the key. A C++ server has closed the
    /// connection.
    fn continue_without_proof(
        &mut self,
        config: &ConnectionConfig,
        keys: &Arc<PeerKeys>,
        error: &Error,
    ) -> Result<(), Error> {
        log::debug!("{}: no proof of a key: {}", self.address, error.chain());
        if matches!(error, Error::Fault { source, .. } if source.code == ErrorCode::Forbidden) {
            return Ok(());
        }
        self.stream = dial_any(&self.address, config)?;
        self.unproved_until_answer = Some(Arc::clone(keys));
        Ok(())
    }

    /// Remembers a server that answered without a proof, so it was not merely restarting.
    pub(super) fn note_answer(&mut self) {
        if let Some(keys) = self.unproved_until_answer.take() {
            keys.no_proof.remember(&self.address);
        }
    }

    /// The failure of a server that does not prove what it has to. Closes the connection.
    pub(crate) fn give_up_untrusted(&mut self, reason: String) -> Error {
        self.give_up();
        Error::Untrusted {
            address: self.address.clone(),
            reason,
        }
    }
}

/// True if the server has no such key, or does not know the command.
fn may_lack_proof(error: &Error) -> bool {
    let is_forbidden = error.fault_code() == Some(ErrorCode::Forbidden);
    is_forbidden || may_be_unknown(error)
}
