//! Verifies orders of administrators, who share a key. Without a key file every order is refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base::LogThrottle;
use base::config::ConfigError;
use base::secret::{Secret, read_secret};
use log::warn;
use parking_lot::RwLock;
use proto::admin::{Nonce, Order, Signed};
use proto::{ErrorCode, Fault};

/// Shortest key, in bytes: a shorter one could be guessed.
const KEY_MIN: usize = 16;

/// Verifies orders. Reads the key from its file for each order, so that a new key is effective at once.
#[derive(Debug)]
pub struct OrderVerifier {
    key_file: RwLock<Option<PathBuf>>,
    /// Limits the log: any peer may send orders.
    log: LogThrottle<Refused>,
}

/// Why an order is refused, if that is logged.
#[derive(Debug, PartialEq)]
enum Refused {
    NoKey,
    WrongKey,
}

/// The state of a connection: its latest nonce.
#[derive(Debug, Default)]
pub struct Challenge(Option<Nonce>);

/// An order that is signed with the key.
struct Verified<'a, O: Order> {
    order: O,
    /// The name of this server in the order.
    name: &'a O::Target,
    key: Secret,
    nonce: Nonce,
}

impl OrderVerifier {
    /// Reads the key from this file. Without a file every order is refused.
    pub fn new(key_file: Option<PathBuf>) -> OrderVerifier {
        OrderVerifier {
            key_file: RwLock::new(key_file),
            log: LogThrottle::default(),
        }
    }

    /// Reads the key from this file from now on.
    pub fn reload(&self, key_file: Option<PathBuf>) {
        *self.key_file.write() = key_file;
    }

    /// Refuses a key file that cannot be used.
    ///
    /// # Errors
    /// It is missing, short, or others may read it.
    pub fn check(key_file: Option<&Path>) -> Result<(), ConfigError> {
        let Some(path) = key_file else {
            return Ok(());
        };
        let checked = key(path).map(drop);
        checked.map_err(|text| ConfigError::invalid("admin_key_file", text))
    }

    /// Tells who may give orders, for `--check-config`.
    pub fn summary(key_file: Option<&Path>) -> String {
        match key_file {
            Some(path) => format!(
                "takes orders that are signed with the key in {}",
                path.display()
            ),
            None => "takes no orders: no admin_key_file is set".to_owned(),
        }
    }

    /// A nonce for the next order on a connection; replaces an earlier one.
    pub fn challenge(challenge: &mut Challenge) -> Nonce {
        *challenge.0.insert(rand::random())
    }

    /// Executes an order with `work` after its verification, and signs the reply. This server has these `names`.
    ///
    /// # Errors
    /// Forbidden without the right key, with none configured, or meant for another server; bad request for an
    /// order that this version does not know; or a failure of the work. None of them is signed.
    pub fn execute<O: Order>(
        &self,
        signed: &Signed,
        names: &[O::Target],
        challenge: &mut Challenge,
        peer: SocketAddr,
        work: impl FnOnce(O) -> Result<Vec<u8>, Fault>,
    ) -> Result<Vec<u8>, Fault> {
        let verified: Verified<'_, O> = self.open(signed, names, challenge, peer)?;
        let Verified {
            order,
            name,
            key,
            nonce,
        } = verified;
        let body = work(order)?;
        Ok(signed.sign_reply::<O>(name, key.expose().as_bytes(), &nonce, &body))
    }

    /// Verifies that an order is signed with the key, for this server. Consumes the nonce of the connection.
    /// Logs a wrong key with the address of the peer.
    ///
    /// # Errors
    /// Forbidden without the right key, with none configured, or meant for another server; bad
    /// request for an order that this version does not know.
    fn open<'a, O: Order>(
        &self,
        signed: &Signed,
        names: &'a [O::Target],
        challenge: &mut Challenge,
        peer: SocketAddr,
    ) -> Result<Verified<'a, O>, Fault> {
        let forbidden = |text: &str| Fault::new(ErrorCode::Forbidden, text);
        let nonce = challenge.0.take();
        let Some(path) = self.key_file.read().clone() else {
            return Err(forbidden(
                "orders are not taken here: no admin_key_file is set",
            ));
        };
        let key = key(&path).map_err(|text| {
            if let Some(more) = self.log.due(Refused::NoKey) {
                warn!("admin_key_file {text}{more}");
            }
            forbidden("orders are not taken here: admin_key_file cannot be used, see the log")
        })?;
        let Some(nonce) = nonce else {
            return Err(forbidden("no challenge was asked for"));
        };
        for name in names {
            if let Some(order) = signed.open(name, key.expose().as_bytes(), &nonce)? {
                return Ok(Verified {
                    order,
                    name,
                    key,
                    nonce,
                });
            }
        }
        if let Some(more) = self.log.due(Refused::WrongKey) {
            let name = signed.name();
            warn!("order {name} from {peer} is refused: wrong admin key{more}");
        }
        Err(forbidden(
            "wrong admin key, or an order of another version or for another server; name its address in \
             known_as if addresses are translated on the way",
        ))
    }
}

fn key(path: &Path) -> Result<Secret, String> {
    let told = |text: String| format!("{}: {text}", path.display());
    let key = read_secret(path).map_err(|e| told(e.to_string()))?;
    if key.expose().len() < KEY_MIN {
        return Err(told(format!("a key has {KEY_MIN} characters at least")));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proto::NodeId;
    use proto::admin::{StorageOrder, TrackerOrder};
    use proto::report::Drain;

    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    fn peer() -> SocketAddr {
        ([10, 0, 0, 1], 40000).into()
    }

    /// The order, once it is verified.
    fn opened<O: Order>(
        guard: &OrderVerifier,
        signed: &Signed,
        names: &[O::Target],
        challenge: &mut Challenge,
    ) -> Result<O, Fault> {
        let verified = guard.open::<O>(signed, names, challenge, peer());
        verified.map(|verified| verified.order)
    }

    #[test]
    fn a_reply_is_signed_for_the_name_in_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, KEY).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let guard = OrderVerifier::new(Some(path));
        let order = TrackerOrder::CloseGroup {
            group: "g1".parse().unwrap(),
        };
        let names = ["10.0.0.1:1", "192.0.2.1:1"].map(|name| name.parse().unwrap());
        for name in names {
            let mut challenge = Challenge::default();
            let nonce = OrderVerifier::challenge(&mut challenge);
            let signed = Signed::new(&order, &name, KEY, &nonce);
            let work = |given: TrackerOrder| {
                assert_eq!(given, order);
                Ok(b"done".to_vec())
            };
            let reply = guard.execute(&signed, &names, &mut challenge, peer(), work);
            let body = signed.open_reply::<TrackerOrder>(&name, KEY, &nonce, &reply.unwrap());
            assert_eq!(body.as_deref(), Some(&b"done"[..]));
        }
    }

    #[test]
    fn only_who_has_the_key_is_obeyed_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, [KEY, b"\n"].concat()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        OrderVerifier::check(Some(&path)).unwrap();
        let guard = OrderVerifier::new(Some(path.clone()));
        let order = StorageOrder::Drain {
            level: Drain::Uploads,
        };
        let [me, another] = ["a1", "b2"].map(|node| NodeId::new(node).unwrap());
        let names = [me.clone(), me.digest()];
        let mut challenge = Challenge::default();
        let early = Signed::new(&order, &me, KEY, &[0; 16]);
        let refused = |result: Result<StorageOrder, Fault>| {
            assert_eq!(result.unwrap_err().code, ErrorCode::Forbidden);
        };
        refused(opened(&guard, &early, &names, &mut challenge));
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        assert_eq!(
            opened(&guard, &signed, &names, &mut challenge),
            Ok(order.clone())
        );
        refused(opened(&guard, &signed, &names, &mut challenge));
        OrderVerifier::challenge(&mut challenge);
        refused(opened(&guard, &signed, &names, &mut challenge));
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, b"0123456789abcdeX", &nonce);
        refused(opened(&guard, &signed, &names, &mut challenge));
        // What trackers tell of it is as good a name.
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me.digest(), KEY, &nonce);
        assert_eq!(
            opened(&guard, &signed, &names, &mut challenge),
            Ok(order.clone())
        );
        // Nor is one obeyed that another storage was told and passes on.
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &another, KEY, &nonce);
        refused(opened(&guard, &signed, &names, &mut challenge));
        // An order for another kind of server is none.
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        let other: Result<TrackerOrder, Fault> = opened(&guard, &signed, &[peer()], &mut challenge);
        assert_eq!(other.unwrap_err().code, ErrorCode::Forbidden);
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        guard.reload(None);
        refused(opened(&guard, &signed, &names, &mut challenge));
        guard.reload(Some(path.clone()));
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        assert_eq!(
            opened(&guard, &signed, &names, &mut challenge),
            Ok(order.clone())
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(OrderVerifier::check(Some(&path)).is_err());
    }
}
