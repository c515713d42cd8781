use super::*;

#[test]
fn orders_that_block_uploads_have_the_names_of_earlier_versions() {
    let (app, user): (AppId, UserId) = ("a".parse().unwrap(), "u".parse().unwrap());
    let block = StorageOrder::BlockUploads {
        app: app.clone(),
        user: user.clone(),
        lease_id: 7,
        seconds: 5,
    };
    let unblock = StorageOrder::UnblockUploads {
        app,
        user,
        lease_id: Some(7),
    };
    let text = |order| serde_json::to_string(order).unwrap();
    let owner = r#""app":"a","user":"u""#;
    let expected = format!(r#"{{"order":"bar-user",{owner},"mark":7,"seconds":5}}"#);
    assert_eq!(text(&block), expected);
    let expected = format!(r#"{{"order":"admit-user",{owner},"mark":7}}"#);
    assert_eq!(text(&unblock), expected);
}

#[test]
fn an_order_is_named_only_by_a_word() {
    let order = StorageOrder::Drain { level: Drain::None };
    let mut signed = Signed::new(&order, &"a1".parse().unwrap(), b"key", &[0; NONCE_LEN]);
    assert_eq!(signed.name(), "drain");
    for text in [
        "",
        "{}",
        "{\"order\":\"\"}",
        "{\"order\":\"a b\"}",
        "{\"order\":\"a\\nb\"}",
    ] {
        text.clone_into(&mut signed.text);
        assert_eq!(signed.name(), "-", "{text}");
    }
}

#[test]
fn a_reply_is_of_one_server_and_one_order() {
    let order = |group: &str| TrackerOrder::CloseGroup {
        group: group.parse().unwrap(),
    };
    let [here, there] = ["10.0.0.1:21000", "10.0.0.2:21000"].map(|a| a.parse().unwrap());
    let (key, nonce) = (b"key", [1; NONCE_LEN]);
    let signed = Signed::new(&order("g1"), &here, key, &nonce);
    let reply = signed.sign_reply::<TrackerOrder>(&here, key, &nonce, b"done");
    let open = |signed: &Signed, at: &SocketAddr, key: &[u8], nonce: &Nonce, reply: &[u8]| {
        signed.open_reply::<TrackerOrder>(at, key, nonce, reply)
    };
    let mapped = "[::ffff:10.0.0.1]:21000".parse().unwrap();
    for same in [here, mapped] {
        let body = open(&signed, &same, key, &nonce, &reply);
        assert_eq!(body.as_deref(), Some(&b"done"[..]));
    }
    let other = Signed::new(&order("g2"), &here, key, &nonce);
    let mut changed = reply.clone();
    *changed.last_mut().unwrap() ^= 1;
    for wrong in [
        open(&other, &here, key, &nonce, &reply),
        open(&signed, &there, key, &nonce, &reply),
        open(&signed, &here, b"another", &nonce, &reply),
        open(&signed, &here, key, &[2; NONCE_LEN], &reply),
        open(&signed, &here, key, &nonce, &changed),
        open(&signed, &here, key, &nonce, &reply[..MAC_LEN - 1]),
        open(&signed, &here, key, &nonce, b""),
        // The signature of the order is none of a reply.
        open(&signed, &here, key, &nonce, &signed.mac),
    ] {
        assert_eq!(wrong, None);
    }
    // An order to one tracker is none for another.
    assert_eq!(signed.open::<TrackerOrder>(&there, key, &nonce), Ok(None));
}
