//! The mutual proof of a shared key at the start of a connection (docs/protocol.md, Proof of a key). AUTHENTICATE
//! carries a nonce of the client, the id of its key and the address that it connected to. The reply carries a
//! nonce and the proof of the server. PROVE carries the proof of the client.
//!
//! Each proof covers both nonces, so it is valid on its connection only. It covers the kind of the server and the
//! address, so that a false server cannot pass on the proof of a real one, which has another address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::address::canonical;
use crate::admin::{NONCE_LEN, Nonce};
use crate::field::{Fields, put_text};
use crate::head::frame;
use crate::shared_key::{KEY_ID_LEN, KeyId, SIGNATURE_LEN, SharedKey, Signature};
use crate::{DecodeError, ServerKind};

/// Length of the body of AUTHENTICATE, in bytes: `nonce 16, key id 8, address 64`.
pub const AUTHENTICATE_LEN: usize = NONCE_LEN + KEY_ID_LEN + ADDRESS_LEN;
/// Length of the body of its reply, in bytes: `nonce 16, proof 32`.
pub const AUTHENTICATE_REPLY_LEN: usize = NONCE_LEN + SIGNATURE_LEN;
/// Length of the body of PROVE, in bytes: `proof 32`.
pub const PROVE_LEN: usize = SIGNATURE_LEN;

/// The address of either end of a Unix socket (docs/protocol.md, Unix socket of a storage). No end of a TCP
/// connection has port 0.
pub const UNIX_SOCKET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const ADDRESS_LEN: usize = 64;

/// The body of AUTHENTICATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// A random number of the client.
    pub nonce: Nonce,
    /// The key that the client has.
    pub key: KeyId,
    /// The address that the client connected to.
    pub address: SocketAddr,
}

/// The side that proves that it has the key.
#[derive(Debug, Clone, Copy)]
enum Side {
    Client,
    Server,
}

/// The facts that a proof covers, once both sides know them.
#[derive(Debug, Clone)]
struct Facts {
    server: ServerKind,
    address: String,
    client_nonce: Nonce,
    server_nonce: Nonce,
}

/// The client's side of a proof, between AUTHENTICATE and its reply.
#[derive(Debug)]
pub struct ClientProof<'a> {
    server: ServerKind,
    key: &'a SharedKey,
    request: Authenticate,
}

/// The server's side of a proof, between the reply to AUTHENTICATE and PROVE.
#[derive(Debug, Clone)]
pub struct ServerProof {
    key: SharedKey,
    facts: Facts,
}

impl Authenticate {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(AUTHENTICATE_LEN);
        body.extend_from_slice(&self.nonce);
        body.extend_from_slice(&self.key);
        put_text(&mut body, &self.address.to_string(), ADDRESS_LEN);
        body
    }

    /// Reads the body.
    ///
    /// # Errors
    /// An address that is none.
    pub fn decode(body: &[u8]) -> Result<Authenticate, DecodeError> {
        let mut fields = Fields::new(body);
        let nonce = array(fields.take("nonce", NONCE_LEN)?);
        let key = array(fields.take("key id", KEY_ID_LEN)?);
        let address = fields.text("address", ADDRESS_LEN)?;
        let address = address.parse().map_err(|_| DecodeError::Character {
            field: "address",
            allowed: "an IP address and a port",
            value: address.to_owned(),
        })?;
        Ok(Authenticate {
            nonce,
            key,
            address,
        })
    }
}

impl<'a> ClientProof<'a> {
    /// Begins a proof to the server at this address, with a random nonce.
    pub fn begin(
        server: ServerKind,
        key: &'a SharedKey,
        address: SocketAddr,
        nonce: Nonce,
    ) -> ClientProof<'a> {
        let request = Authenticate {
            nonce,
            key: key.id(),
            address: canonical(address),
        };
        ClientProof {
            server,
            key,
            request,
        }
    }

    /// The frame of AUTHENTICATE.
    pub fn authenticate(&self) -> Vec<u8> {
        frame(self.server.authenticate(), &self.request.encode())
    }

    /// The frame of PROVE, if `reply`, the body of the reply to AUTHENTICATE, proves that the server has the key.
    /// `None` if it does not.
    ///
    /// # Errors
    /// A body of another length.
    pub fn prove(&self, reply: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        let mut fields = Fields::new(reply);
        let server_nonce = array(fields.take("nonce", NONCE_LEN)?);
        let proof: Signature = array(fields.take("proof", SIGNATURE_LEN)?);
        let facts = Facts {
            server: self.server,
            address: self.request.address.to_string(),
            client_nonce: self.request.nonce,
            server_nonce,
        };
        if !facts.are_proved(self.key, Side::Server, &proof) {
            return Ok(None);
        }
        let proof = facts.prove(self.key, Side::Client);
        Ok(Some(frame(self.server.prove(), &proof)))
    }
}

impl ServerProof {
    /// Begins the proof that a client asks for, with the key that it named and a random nonce.
    pub fn begin(
        server: ServerKind,
        request: &Authenticate,
        key: &SharedKey,
        nonce: Nonce,
    ) -> ServerProof {
        let facts = Facts {
            server,
            address: request.address.to_string(),
            client_nonce: request.nonce,
            server_nonce: nonce,
        };
        ServerProof {
            key: key.clone(),
            facts,
        }
    }

    /// The body of the reply to AUTHENTICATE.
    pub fn reply(&self) -> Vec<u8> {
        let proof = self.facts.prove(&self.key, Side::Server);
        [&self.facts.server_nonce[..], &proof[..]].concat()
    }

    /// The key of the client, if `proof`, the body of PROVE, is right.
    pub fn verify(self, proof: &[u8]) -> Option<SharedKey> {
        let proof = proof.try_into().ok()?;
        let is_proved = self.facts.are_proved(&self.key, Side::Client, proof);
        is_proved.then_some(self.key)
    }
}

impl Facts {
    fn prove(&self, key: &SharedKey, side: Side) -> Signature {
        key.sign(&self.parts(side))
    }

    fn are_proved(&self, key: &SharedKey, side: Side, proof: &Signature) -> bool {
        key.verifies(&self.parts(side), proof)
    }

    /// Texts end with a NUL, which none of them contains; the nonces have a fixed length.
    fn parts(&self, side: Side) -> [&[u8]; 9] {
        let side: &[u8] = match side {
            Side::Client => b"client",
            Side::Server => b"server",
        };
        let end = &b"\0"[..];
        [
            b"tnv peer 1 ",
            side,
            end,
            self.server.name().as_bytes(),
            end,
            self.address.as_bytes(),
            end,
            &self.client_nonce,
            &self.server_nonce,
        ]
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the field has this length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared_key::KeyRing;
    use crate::{HEAD_LEN, Head};

    const KEY: &str = "0123456789abcdef";

    fn ring(keys: &str) -> KeyRing {
        KeyRing::parse(keys).unwrap()
    }

    fn address() -> SocketAddr {
        ([10, 0, 0, 1], 23000).into()
    }

    fn begin(server: ServerKind, ring: &KeyRing) -> ClientProof<'_> {
        ClientProof::begin(server, ring.signing(), address(), [1; NONCE_LEN])
    }

    /// The key that the server accepts, and whether the client accepts the server.
    fn exchange(
        ring: &KeyRing,
        (asked, answers): (ServerKind, ServerKind),
        seen: SocketAddr,
    ) -> (Option<SharedKey>, bool) {
        let proof = begin(asked, ring);
        let frame = proof.authenticate();
        let mut request = Authenticate::decode(&frame[HEAD_LEN..]).unwrap();
        let key = ring.find(&request.key).unwrap();
        request.address = seen;
        let proving = ServerProof::begin(answers, &request, key, [2; NONCE_LEN]);
        match proof.prove(&proving.reply()).unwrap() {
            Some(frame) => (proving.verify(&frame[HEAD_LEN..]), true),
            None => (None, false),
        }
    }

    #[test]
    fn both_sides_prove_the_key_for_this_server() {
        let ring = ring(&format!("{KEY}\napp {KEY}-of-app"));
        let same = (ServerKind::Storage, ServerKind::Storage);
        let proved = exchange(&ring, same, address());
        assert_eq!(proved, (Some(ring.signing().clone()), true));
        let elsewhere = ([10, 0, 0, 2], 23000).into();
        let refused = (None, false);
        assert_eq!(exchange(&ring, same, elsewhere), refused);
        let other = (ServerKind::Storage, ServerKind::Tracker);
        assert_eq!(exchange(&ring, other, address()), refused);
    }

    #[test]
    fn a_client_without_the_key_is_not_believed() {
        let ring = ring(KEY);
        let proof = begin(ServerKind::Storage, &ring);
        let answer =
            |nonce| ServerProof::begin(ServerKind::Storage, &proof.request, ring.signing(), nonce);
        let proving = answer([2; NONCE_LEN]);
        // The proof of the server is not one of a client.
        let reply = proving.reply();
        assert_eq!(proving.clone().verify(&reply[NONCE_LEN..]), None);
        assert_eq!(proving.clone().verify(&[0; PROVE_LEN]), None);
        let frame = proof.prove(&reply).unwrap().unwrap();
        // A proof is valid for its nonces only.
        assert_eq!(answer([3; NONCE_LEN]).verify(&frame[HEAD_LEN..]), None);
        assert!(proving.verify(&frame[HEAD_LEN..]).is_some());
        assert!(proof.prove(&reply[1..]).is_err());
    }

    #[test]
    fn the_frames_have_their_lengths() {
        let ring = ring(KEY);
        let address = "[::ffff:10.0.0.1]:23000".parse().unwrap();
        let server = ServerKind::Tracker;
        let proof = ClientProof::begin(server, ring.signing(), address, [1; NONCE_LEN]);
        let frame = proof.authenticate();
        let (head, body) = frame.split_first_chunk::<HEAD_LEN>().unwrap();
        let head = Head::decode(head);
        assert_eq!(head.body_len as usize, AUTHENTICATE_LEN);
        assert_eq!(body.len(), AUTHENTICATE_LEN);
        assert_eq!(head.command, server.authenticate());
        let request = Authenticate::decode(body).unwrap();
        assert_eq!(request.address, self::address());
        let proving = ServerProof::begin(server, &request, ring.signing(), [2; NONCE_LEN]);
        let reply = proving.reply();
        assert_eq!(reply.len(), AUTHENTICATE_REPLY_LEN);
        let frame = proof.prove(&reply).unwrap().unwrap();
        assert_eq!(frame.len(), HEAD_LEN + PROVE_LEN);
        let mut invalid = body.to_vec();
        invalid[NONCE_LEN + KEY_ID_LEN] = b'x';
        assert!(Authenticate::decode(&invalid).is_err());
    }
}
