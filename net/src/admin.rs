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

    /// Verifies that an order is signed with the key, for this server, which has these `names`. Consumes the
    /// nonce of the connection. Logs a wrong key with the address of the peer.
    ///
    /// # Errors
    /// Forbidden without the right key, with none configured, or meant for another server; bad
    /// request for an order that this version does not know.
    pub fn open<O: Order>(
        &self,
        signed: &Signed,
        names: &[O::Target],
        challenge: &mut Challenge,
        peer: SocketAddr,
    ) -> Result<O, Fault> {
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
                return Ok(order);
            }
        }
        if let Some(more) = self.log.due(Refused::WrongKey) {
            let name = signed.name();
            warn!("order {name} from {peer} is refused: wrong admin key{more}");
        }
        Err(forbidden("wrong admin key, or an order for another server"))
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
        refused(guard.open(&early, &names, &mut challenge, peer()));
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        assert_eq!(
            guard.open(&signed, &names, &mut challenge, peer()),
            Ok(order.clone())
        );
        refused(guard.open(&signed, &names, &mut challenge, peer()));
        OrderVerifier::challenge(&mut challenge);
        refused(guard.open(&signed, &names, &mut challenge, peer()));
        let nonce = OrderVerifier::challenge(&mut challenge);
        refused(guard.open(
            &Signed::new(&order, &me, b"0123456789abcdeX", &nonce),
            &names,
            &mut challenge,
            peer(),
        ));
        // What trackers tell of it is as good a name.
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me.digest(), KEY, &nonce);
        assert_eq!(
            guard.open(&signed, &names, &mut challenge, peer()),
            Ok(order.clone())
        );
        // Nor is one obeyed that another storage was told and passes on.
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &another, KEY, &nonce);
        refused(guard.open(&signed, &names, &mut challenge, peer()));
        // An order for another kind of server is none.
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        let other: Result<TrackerOrder, Fault> = guard.open(&signed, &[()], &mut challenge, peer());
        assert_eq!(other.unwrap_err().code, ErrorCode::Forbidden);
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        guard.reload(None);
        refused(guard.open(&signed, &names, &mut challenge, peer()));
        guard.reload(Some(path.clone()));
        let nonce = OrderVerifier::challenge(&mut challenge);
        let signed = Signed::new(&order, &me, KEY, &nonce);
        assert_eq!(
            guard.open(&signed, &names, &mut challenge, peer()),
            Ok(order.clone())
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(OrderVerifier::check(Some(&path)).is_err());
    }
}
