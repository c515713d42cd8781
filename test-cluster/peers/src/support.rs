//! Common beginnings of tests.

use std::time::Duration;

use client::{Client, ClientConfig};
use proto::{AppId, FileId, FileKey, UserId};

use crate::storage::FakeStorage;
use crate::tracker::FakeTracker;

/// A tracker that lists these storages, and a client with a timeout of 1 s.
pub fn cluster(storages: &[&FakeStorage]) -> (FakeTracker, Client) {
    let addresses: Vec<_> = storages.iter().map(|s| &s.fake.address).collect();
    let tracker = FakeTracker::start(&addresses);
    let client = Client::new(config(&tracker));
    (tracker, client)
}

pub fn config(tracker: &FakeTracker) -> ClientConfig {
    let mut config = ClientConfig::new(vec![tracker.fake.address.clone()]);
    config.connection.io_timeout = Duration::from_secs(1);
    config
}

pub fn key(file: &str) -> FileKey {
    FileKey {
        app: AppId::new("tnvideo").unwrap(),
        user: UserId::new("alice").unwrap(),
        file: FileId::new(file).unwrap(),
    }
}

/// Bytes whose ranges all differ.
pub fn content(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}
