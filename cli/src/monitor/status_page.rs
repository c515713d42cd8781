//! Asks the status ports of idservers and httpds, which no tracker knows, for `/healthz`, by a GET of
//! HTTP/1.1.

use std::io::{self, Read, Write};
use std::time::Instant;

use client::{Connection, ConnectionConfig};
use proto::Address;
use serde::Serialize;

/// Longest reply that is read, in bytes.
const REPLY_MAX: usize = 64 << 10;
/// Most reasons that are kept of one server.
const REASONS_MAX: usize = 8;
/// The states of a server: the first line of `/healthz` is one of them.
const STATES: [&str; 3] = ["ok", "degraded", "failing"];

/// One server.
#[derive(Debug, Serialize)]
pub(super) struct StatusPage {
    /// `idserver` or `httpd`.
    pub(super) role: &'static str,
    /// Its status port.
    pub(super) address: Address,
    /// `ok`, `degraded`, `failing`, or `unknown` if it gave no answer.
    pub(super) state: String,
    /// The problems, the worst first.
    pub(super) reasons: Vec<String>,
}

impl StatusPage {
    /// Asks a server. The whole question takes `connect_timeout` and `io_timeout` at most.
    pub(super) fn ask(
        role: &'static str,
        address: &Address,
        config: &ConnectionConfig,
    ) -> StatusPage {
        let answer = fetch(address, config).and_then(|reply| read(&reply));
        let (state, reasons) = answer.unwrap_or_else(|why| ("unknown".to_owned(), vec![why]));
        StatusPage {
            role,
            address: address.clone(),
            state,
            reasons,
        }
    }

    /// True if the server can serve requests.
    pub(super) fn serves(&self) -> bool {
        matches!(self.state.as_str(), "ok" | "degraded")
    }

    /// The state, as one line.
    pub(super) fn text(&self) -> String {
        let StatusPage {
            role,
            address,
            state,
            reasons,
        } = self;
        let why = reasons.join("; ");
        match state.as_str() {
            "unknown" => format!("{role} {address} does not answer: {why}"),
            state if why.is_empty() => format!("{role} {address} is {state}"),
            state => format!("{role} {address} is {state}: {why}"),
        }
    }
}

fn fetch(address: &Address, config: &ConnectionConfig) -> Result<Vec<u8>, String> {
    let connection = Connection::connect(address, config).map_err(|error| error.chain())?;
    let deadline = Instant::now() + config.io_timeout;
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nUser-Agent: tnv-monitor\r\n\
         Connection: close\r\n\r\n"
    );
    let mut stream = connection.stream();
    let written = stream
        .set_write_timeout(Some(config.io_timeout))
        .and_then(|()| stream.write_all(request.as_bytes()));
    written.map_err(|error| error.to_string())?;
    let mut reply = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let silent = || format!("no whole answer within {:?}", config.io_timeout);
        if left.is_zero() {
            return Err(silent());
        }
        let read = stream
            .set_read_timeout(Some(left))
            .and_then(|()| stream.read(&mut buffer));
        match read {
            Ok(0) => return Ok(reply),
            Ok(n) if reply.len() + n > REPLY_MAX => return Err("its answer is too long".to_owned()),
            Ok(n) => reply.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(silent()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// State and reasons of a whole reply.
fn read(reply: &[u8]) -> Result<(String, Vec<String>), String> {
    let reply = String::from_utf8_lossy(reply);
    let no_http = || "it does not speak HTTP: is this a status port?".to_owned();
    let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status = head.split_once(' ').map_or("", |(_, rest)| rest);
    let code = status.get(..3).unwrap_or_default();
    let mut lines = body.lines();
    let state = lines.next().unwrap_or_default();
    if !head.starts_with("HTTP/1.") {
        return Err(no_http());
    }
    if !matches!(code, "200" | "503") || !STATES.contains(&state) {
        return Err(format!(
            "it is no status port of tnv: /healthz is answered with {code}"
        ));
    }
    let reasons = lines.take(REASONS_MAX).map(str::to_owned).collect();
    Ok((state.to_owned(), reasons))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_state_and_the_reasons_or_none_of_a_status_port() {
        let read = |code: &str, body: &str| {
            read(format!("HTTP/1.1 {code}\r\nContent-Length: 1\r\n\r\n{body}").as_bytes())
        };
        assert_eq!(read("200 OK", "ok\n"), Ok(("ok".to_owned(), Vec::new())));
        let failing = read("503 Service Unavailable", "failing\nno tracker\nlate\n");
        let reasons = vec!["no tracker".to_owned(), "late".to_owned()];
        assert_eq!(failing, Ok(("failing".to_owned(), reasons)));
        let foreign = read("404 Not Found", "not found\n").unwrap_err();
        assert!(foreign.contains("404"), "{foreign}");
        assert!(read("200 OK", "").is_err() && read("", "").is_err());
        for text in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK"] {
            assert!(super::read(text.as_bytes()).unwrap_err().contains("HTTP"));
        }
    }
}
