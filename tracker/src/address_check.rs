//! Checks the address of a storage that joins. Wrong addresses are the most frequent fault behind address
//! translation, in containers and on hosts with several addresses. Pure.

use std::net::{IpAddr, SocketAddr};

use base::Network;
use proto::hello::Hello;
use proto::{ErrorCode, Fault};

use crate::groups::MemberAddress;

/// The address of a storage that connects from `peer` and listens on `port`: the one it advertises, or
/// else that of the connection. Addresses in `check_networks` are probed for every storage.
///
/// # Errors
/// Bad request when the advertised address cannot be the storage's; the message shows both addresses.
pub(crate) fn check(
    hello: Option<&Hello>,
    peer: IpAddr,
    port: u16,
    check_networks: &[Network],
) -> Result<MemberAddress, Fault> {
    let advertised = hello.and_then(|hello| hello.address);
    let addr = match advertised {
        Some(addr) => SocketAddr::new(addr.ip().to_canonical(), addr.port()),
        None => SocketAddr::new(peer, port),
    };
    let refuse = |what: &str| {
        let text = hello.and_then(|hello| hello.advertise.as_ref());
        let text = text.map(|text| format!(" ({text})")).unwrap_or_default();
        let message = format!("the advertised address {addr}{text} {what}, this comes from {peer}");
        Err(Fault::new(ErrorCode::BadRequest, message))
    };
    if advertised.is_some() {
        let ip = addr.ip();
        if ip.is_unspecified() || ip.is_multicast() || addr.port() == 0 {
            return refuse("is none that can be connected to");
        }
        if ip.is_loopback() && !peer.is_loopback() {
            return refuse("is a loopback address of another machine");
        }
    }
    let local = hello
        .and_then(|hello| hello.local)
        .map(|ip| ip.to_canonical());
    let note = match (advertised, local) {
        (None, Some(local)) if local != peer => Some(format!(
            "it comes from {peer} and has the address {local} itself: addresses are translated in \
             between; set advertise where clients cannot use {addr}"
        )),
        _ => None,
    };
    Ok(MemberAddress {
        addr,
        peer,
        node: hello.map(|hello| hello.node.clone()),
        cluster: hello.and_then(|hello| hello.cluster.clone()),
        is_probed: is_near(addr.ip(), peer) || check_networks.iter().any(|n| n.has(addr.ip())),
        note: note.map(Into::into),
    })
}

/// True when a storage at `peer` may have the tracker connect to `ip`. Others could use the tracker to scan
/// the ports of a machine.
fn is_near(ip: IpAddr, peer: IpAddr) -> bool {
    let is_this_machine = ip.is_loopback() && peer.is_loopback();
    is_this_machine || Network::around(peer).has(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(address: Option<&str>, local: &str) -> Hello {
        Hello {
            node: "aa".parse().unwrap(),
            advertise: address.map(|_| "films.example:23000".parse().unwrap()),
            address: address.map(|address| address.parse().unwrap()),
            local: Some(local.parse().unwrap()),
            remembers: false,
            cluster: None,
        }
    }

    #[test]
    fn what_is_advertised_counts_unless_it_cannot_be_right() {
        let peer: IpAddr = "10.0.0.5".parse().unwrap();
        let at = |address: Option<&str>| check(Some(&hello(address, "10.0.0.5")), peer, 23000, &[]);
        assert_eq!(
            check(None, peer, 1, &[]).unwrap().addr.to_string(),
            "10.0.0.5:1"
        );
        assert_eq!(at(None).unwrap().addr.to_string(), "10.0.0.5:23000");
        let addr = |address| at(Some(address)).unwrap().addr.to_string();
        assert_eq!(addr("203.0.113.7:4000"), "203.0.113.7:4000");
        assert_eq!(addr("[::ffff:203.0.113.7]:4000"), "203.0.113.7:4000");
        for wrong in [
            "127.0.1.1:4000",
            "[::1]:4000",
            "0.0.0.0:4000",
            "224.0.0.1:1",
            "10.0.0.1:0",
        ] {
            let fault = at(Some(wrong)).unwrap_err();
            assert_eq!(fault.code, ErrorCode::BadRequest);
            for part in [wrong, "10.0.0.5", "films.example:23000"] {
                assert!(fault.message.contains(part), "{fault}");
            }
        }
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let own = check(Some(&hello(Some("127.0.0.1:1"), "127.0.0.1")), here, 1, &[]);
        assert_eq!(own.unwrap().addr.to_string(), "127.0.0.1:1");
    }

    #[test]
    fn what_is_tried_is_near_who_joins_unless_it_is_named() {
        let networks = ["172.16.0.0/12".parse().unwrap()];
        for (peer, address, is_probed) in [
            ("10.0.0.5", None, true),
            ("10.0.0.5", Some("10.0.0.9:22"), true),
            ("10.0.0.5", Some("10.0.1.9:22"), false),
            ("10.0.0.5", Some("172.17.0.1:22"), true),
            ("10.0.0.5", Some("[2001:db8::1]:22"), false),
            ("2001:db8::5", Some("[2001:db8::9]:22"), true),
            ("2001:db8::5", Some("[2001:db8:0:1::5]:22"), false),
            ("127.0.0.1", Some("127.9.9.9:22"), true),
            ("::1", Some("127.0.0.1:22"), true),
            ("127.0.0.1", Some("192.0.2.1:22"), false),
        ] {
            let hello = hello(address, peer);
            let checked = check(Some(&hello), peer.parse().unwrap(), 23000, &networks);
            assert_eq!(checked.unwrap().is_probed, is_probed, "{peer} {address:?}");
        }
    }

    #[test]
    fn translated_addresses_are_noted_unless_one_is_advertised() {
        let peer: IpAddr = "203.0.113.7".parse().unwrap();
        let note = |address| {
            let checked = check(Some(&hello(address, "172.17.0.2")), peer, 23000, &[]).unwrap();
            checked.note
        };
        let text = note(None).unwrap();
        assert!(text.contains("203.0.113.7") && text.contains("172.17.0.2"));
        assert_eq!(note(Some("203.0.113.7:23000")), None);
    }
}
