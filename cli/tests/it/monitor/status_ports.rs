//! `tnv monitor` asks the status ports of idservers and httpds.

use std::io::{Read, Write};

use super::*;

/// A status port that answers `/healthz` like this.
fn status_port(code: &'static str, body: &'static str) -> Fake {
    Fake::start(move |_, mut stream| {
        let mut request = [0; 4096];
        let n = stream.read(&mut request).unwrap();
        assert!(request[..n].starts_with(b"GET /healthz HTTP/1.1\r\n"));
        let head = format!("HTTP/1.1 {code}\r\nContent-Length: {}\r\n\r\n", body.len());
        // The client may have closed after the status line.
        let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
    })
}

#[test]
fn status_ports_of_idservers_and_httpds_are_asked() {
    let fake = tracker(&Arc::new(Mutex::new(cluster())));
    let ok = status_port("200 OK", "ok\n");
    let failing = status_port("503 Service Unavailable", "failing\nno tracker answers\n");
    let foreign = status_port("404 Not Found", "404\n");
    let trackers = [fake.address.as_str()];
    let ask = |args: &[&str]| {
        let output = monitor(&trackers, args);
        (code(&output), stdout(&output).to_owned())
    };
    let [ok, failing, foreign] = [&ok, &failing, &foreign].map(|port| port.address.as_str());
    let (exit, line) = ask(&["--check", "--httpds", ok, "--idservers", ok]);
    assert_eq!(exit, 0, "{line}");
    let both = format!("{failing};{ok}");
    let (exit, line) = ask(&["--check", "--httpds", &both]);
    assert_eq!(exit, 1, "{line}");
    assert!(
        line.contains(&format!("httpd {failing} is failing: no tracker answers")),
        "{line}"
    );
    let dead = dead_address();
    let none = format!("{failing};{dead};{foreign}");
    let (exit, line) = ask(&["--check", "--idservers", &none]);
    assert_eq!(exit, 2, "{line}");
    assert!(
        line.starts_with("TNV CRITICAL - no idserver serves; "),
        "{line}"
    );
    assert!(
        line.contains(&format!("idserver {dead} does not answer: ")),
        "{line}"
    );
    assert!(line.contains("it is no status port of tnv"), "{line}");

    let dir = TempDir::new().unwrap();
    let settings = format!("[monitor]\nhttpds = [\"{failing}\"]\n");
    std::fs::write(dir.path().join("s.toml"), settings).unwrap();
    let args = ["--config", "s.toml", "monitor"];
    let output = tnv(dir.path(), trackers[0], &args).output().unwrap();
    let told = format!("httpd {failing} is failing: no tracker answers");
    assert!(stdout(&output).lines().any(|line| line == told));
    let (_, text) = ask(&["--json", "--httpds", ok]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["status_ports"][0]["state"], "ok");
}
