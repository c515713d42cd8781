//! Exchanges recorded from the C++ programs: `proto/tests/frames.json`.

use serde::{Deserialize, Deserializer};

/// A request and its reply, byte for byte.
#[derive(Debug, Deserialize)]
pub struct Exchange {
    pub server: String,
    pub command: String,
    pub ok: bool,
    #[serde(deserialize_with = "hex")]
    pub request: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub response: Vec<u8>,
}

/// All exchanges, in the order of the recording.
pub fn exchanges() -> Vec<Exchange> {
    serde_json::from_str(include_str!("../../../proto/tests/frames.json")).unwrap()
}

/// The first exchange of a command with this outcome.
pub fn exchange(server: &str, command: &str, ok: bool) -> Exchange {
    let is_it =
        |one: &Exchange| (one.server.as_str(), &*one.command, one.ok) == (server, command, ok);
    exchanges().into_iter().find(is_it).unwrap()
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let hex = String::deserialize(deserializer)?;
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Ok((0..hex.len()).step_by(2).map(byte).collect())
}
