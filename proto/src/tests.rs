//! Values read off the running C++ system (docs/protocol.md).

use crate::table::ap_hash;
use crate::{Address, AppId, FileId, GroupName, UserId, file_table};
use crate::{DecodeError, Head, Request};
use crate::{file_id, storage_path::storage_path};

#[test]
fn hash_and_table_are_those_of_the_cpp_system() {
    let table = |user: &str| file_table(&UserId::new(user).unwrap());
    assert_eq!(ap_hash("tnv001"), 3_600_463_905);
    assert_eq!(ap_hash("a"), 97);
    assert_eq!(ap_hash("用户"), 1_973_186_167);
    assert_eq!(ap_hash("Émile"), 3_738_501_488);
    let tables = ["tnv001", "tnv002", "alice", "bob", "a", "用户", "Émile"].map(table);
    assert_eq!(tables, [2, 3, 2, 3, 2, 2, 1]);
}

#[test]
fn storage_path_spells_the_number_in_base_512() {
    assert_eq!(
        storage_path("../data", 0, 0x5F9E_3FA7),
        "../data/000/000/000/5F9E3FA7_000"
    );
    let number = (1 << 27) + (0x0AB << 18) + (0x1FF << 9) + 0x01F;
    assert_eq!(
        storage_path("/s", number, 0x6B02_0206),
        "/s/001/0AB/1FF/6B020206_01F"
    );
    assert_eq!(storage_path("/s", 1 << 36, 1), "/s/000/000/000/1_000");
}

#[test]
fn file_id_has_the_parts_of_a_recorded_one() {
    let id = file_id::compose(file_id::Seed {
        epoch_secs: 0x6b02_020e,
        micros: 0x02c163,
        user_id: "tnv001",
        pid: 1,
        thread_id: 0x7fff,
        random: 2,
        counter: 1,
        random_tail: 88,
    });
    let text = id.as_str();
    assert_eq!(
        (text.len(), &text[..14], &text[30..]),
        (36, "6b02020e02c163", "000188")
    );
    // printf 'tnv001@1@7FFF@2' | md5sum | cut -c9-24
    assert_eq!(&text[14..30], MIDDLE);
    assert!(file_id::is_made(&id));
    let almost = [
        "6b02020e02c16382020d00fd6d220f00018",
        "6b02020e02c16382020d00fd6d220f0001880",
        "6b02020e02c16382020d00fd6d220f00018a",
        "6B02020e02c16382020d00fd6d220f000188",
        "6b02020e02c16382020d00fd6d220g000188",
        "index.m3u8",
        "\u{7528}\u{7528}\u{7528}\u{7528}\u{7528}\u{7528}\u{7528}\u{7528}\u{7528}\u{7528}000188",
    ];
    for name in almost {
        assert!(!file_id::is_made(&FileId::new(name).unwrap()), "{name}");
    }
}

const MIDDLE: &str = "82020d00fd6d220f";

#[test]
fn names_are_refused_with_the_reason() {
    let error = |result: Result<AppId, crate::DecodeError>| result.unwrap_err().to_string();
    assert_eq!(error(AppId::new("")), "appid is empty");
    assert_eq!(
        error(AppId::new("a/b")),
        "appid may hold letters and digits only: \"a/b\""
    );
    assert_eq!(
        error(AppId::new("a".repeat(16))),
        "appid is longer than 15 bytes"
    );
    assert!(GroupName::new("a".repeat(16)).is_ok());
    assert!(UserId::new("é".repeat(127)).is_ok());
    assert_eq!(
        UserId::new("a".repeat(129)).unwrap_err().to_string(),
        "userid is longer than 128 characters"
    );
    assert!(FileId::new("line\nfeed").is_err());
}

#[test]
fn addresses_are_hosts_with_ports() {
    let list = Address::parse_list("10.0.0.1:23000;[::1]:1;storage-1.local:23000;").unwrap();
    assert_eq!(list.len(), 3);
    let list = Address::parse_list("[::1]:1,[fe80::1%eth0]:2; a:3,").unwrap();
    let list: Vec<&str> = list.iter().map(Address::as_str).collect();
    assert_eq!(list, ["[::1]:1", "[fe80::1%eth0]:2", "a:3"]);
    for bad in [
        "",
        "a",
        ":1",
        "a:",
        "a:0",
        "a:+1",
        "a:65536",
        "::1:80",
        "a b:1",
        "[junk,more]:1",
        "[a]:1",
        "[1.2.3.4]:1",
        "[::1]",
        "[::1]1",
        "[::1:1",
        "[]:1",
        "[fe80::1%]:1",
        "[fe80::1%a b]:1",
        "a,b:1",
        "fe80::1%eth0:1",
        "[::1]:1]:1",
    ] {
        assert!(bad.parse::<Address>().is_err(), "{bad:?}");
    }
    let why = |text: &str| text.parse::<Address>().unwrap_err().to_string();
    assert!(
        why("10.0.0.1").contains("the port is missing"),
        "{}",
        why("10.0.0.1")
    );
    assert!(
        why("[::1]").contains("the port is missing"),
        "{}",
        why("[::1]")
    );
    assert!(why("fe80::1:21000").contains("stands in brackets"));
}

/// Every command that is taken has a name, and only those.
fn check_commands<R: Request>() {
    let mut names: Vec<&str> = R::COMMANDS.iter().map(|(_, name)| *name).collect();
    for command in 0..=u8::MAX {
        let is_named = R::COMMANDS.iter().any(|(named, _)| *named == command);
        let len = R::fixed_len(&Head::request(command, 0));
        let is_unknown = matches!(len, Err(DecodeError::UnknownCommand(_)));
        assert_eq!(is_named, !is_unknown, "{command}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), R::COMMANDS.len());
}

#[test]
fn every_command_has_a_name() {
    check_commands::<crate::storage::StorageRequest>();
    check_commands::<crate::tracker::TrackerRequest>();
    check_commands::<crate::idserver::IdRequest>();
}
