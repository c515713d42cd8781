//! The recorded requests of the C++ client, answered by our storage.

use std::io::{Read, Write};

use proto::{Fault, HEAD_LEN, Head};
use serde::Deserialize;

use super::support::Node;

#[derive(Deserialize)]
struct Exchange {
    server: String,
    command: String,
    ok: bool,
    request: String,
    response: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    digits
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

#[test]
fn recorded_requests_get_the_recorded_answers() {
    let frames = include_str!("../../../proto/tests/frames.json");
    let exchanges: Vec<Exchange> = serde_json::from_str(frames).unwrap();
    let node = Node::start();
    let mut client = node.client();
    let mut answered = 0;
    for exchange in exchanges.iter().filter(|e| e.server == "storage") {
        let recorded = bytes(&exchange.response);
        client.0.write_all(&bytes(&exchange.request)).unwrap();
        let mut head = [0; HEAD_LEN];
        client.0.read_exact(&mut head).unwrap();
        let len = Head::decode(&head).body_len as usize;
        let mut body = vec![0; len];
        client.0.read_exact(&mut body).unwrap();
        let answer = [&head[..], &body].concat();
        if exchange.ok {
            assert_eq!(answer, recorded, "{}", exchange.command);
        } else {
            // Our failures carry a number of their own; their form is the same.
            assert_eq!(head[8..], recorded[8..HEAD_LEN], "{}", exchange.command);
            assert!(Fault::decode(&body).unwrap().message.starts_with("[vm] "));
            assert_eq!(body.last(), Some(&0));
        }
        answered += 1;
    }
    assert_eq!(answered, 9);
}
