use super::*;

fn size(text: &str) -> u64 {
    text.parse::<ByteSize>().unwrap().bytes()
}

fn millis(text: &str) -> u128 {
    text.parse::<Period>().unwrap().duration().as_millis()
}

#[test]
fn sizes_are_read() {
    assert_eq!(size("0"), 0);
    assert_eq!(size("1500"), 1500);
    assert_eq!(size("7B"), 7);
    assert_eq!(size("512KiB"), 524_288);
    assert_eq!(size("20 GiB"), 21_474_836_480);
    assert_eq!(size("1MB"), 1_000_000);
    assert_eq!(size("1kB"), size("1KB"));
    assert_eq!(size("2TB"), 2_000_000_000_000);
    assert_eq!(size("18446744073709551615"), u64::MAX);
}

#[test]
fn sizes_are_printed_exactly() {
    for (bytes, text) in [
        (0, "0B"),
        (1, "1B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (1025, "1025B"),
        (1_000_000, "1000000B"),
        (3 << 19, "1536KiB"),
        (20 << 30, "20GiB"),
        (u64::MAX, "18446744073709551615B"),
    ] {
        assert_eq!(ByteSize::new(bytes).to_string(), text);
        assert_eq!(size(text), bytes);
    }
    assert_eq!(ByteSize::from_kib(4), ByteSize::new(4096));
    assert_eq!(ByteSize::from_mib(1), ByteSize::from_kib(1024));
}

#[test]
fn periods_are_read_and_printed_exactly() {
    for (text, expected) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("0s", 0),
    ] {
        assert_eq!(millis(text), expected);
        assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
    }
    assert_eq!(Period::from_secs(90).to_string(), "90s");
    assert_eq!(Period::from_millis(1500).to_string(), "1500ms");
    assert!(Period::from_millis(0).is_zero());
}

#[test]
fn nonsense_is_refused_with_what_was_expected() {
    for text in ["", "GiB", "-1", "1.5GiB", "1 G", "12kib", "1s", "1KiB2"] {
        let error = text.parse::<ByteSize>().unwrap_err().to_string();
        assert!(error.contains("expected a size"), "{error}");
    }
    for text in ["", "30", "s", "-1s", "1.5s", "1min", "1M", "1KiB"] {
        let error = text.parse::<Period>().unwrap_err().to_string();
        assert!(error.contains("expected a period"), "{error}");
    }
    for text in ["18446744073709551616", "16777216TiB"] {
        let error = text.parse::<ByteSize>().unwrap_err();
        assert!(matches!(error, UnitError::TooLarge { .. }), "{error}");
    }
    assert!("300000000000000d".parse::<Period>().is_err());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Both {
    size: ByteSize,
    period: Period,
}

#[test]
fn they_stand_in_toml() {
    let both: Both = toml::from_str("size = 4096\nperiod = \"1m\"").unwrap();
    let text = toml::to_string(&both).unwrap();
    assert_eq!(text, "size = \"4KiB\"\nperiod = \"1m\"\n");
    assert_eq!(toml::from_str::<Both>(&text).unwrap(), both);
}

#[test]
fn toml_errors_say_what_was_expected() {
    let refused = |text: &str| toml::from_str::<Both>(text).unwrap_err().to_string();
    assert!(refused("size = -1\nperiod = \"1m\"").contains("expected a size"));
    assert!(refused("size = true\nperiod = \"1m\"").contains("expected a size"));
    let error = refused("size = 1\nperiod = 30");
    assert!(error.contains("expected a period"), "{error}");
    assert!(error.contains("line 2"), "{error}");
}
