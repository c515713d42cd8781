//! The fields of every response, also of those that the protocol makes.

use std::io::Write;
use std::sync::Arc;

use base::units::Period;
use net::http::{Field, Handler, Http, Request, Response, TrustedProxies, status};
use net::{Answer, Server, ServerConfig};

use super::support::*;

/// `/held` waits for the gate of a probe, `/panic` panics.
struct Echo(Arc<Probe>);

impl Handler for Echo {
    fn common_fields(&self, origin: Option<&str>) -> Vec<Field> {
        vec![("X-Origin", origin.unwrap_or("none").to_owned().into())]
    }

    fn handle(&self, request: Request) -> Answer<Response> {
        let Echo(probe) = self;
        match request.path() {
            "/held" => {
                probe.events.0.send("waiting").unwrap();
                probe.gate.1.recv_timeout(PATIENCE).unwrap();
            }
            "/panic" => panic!("as the test wants it"),
            _ => {}
        }
        Answer::Now(Response::text(status::OK, "hello"))
    }
}

fn start(probe: &Arc<Probe>, config: &ServerConfig) -> Server {
    let proxies = TrustedProxies::new(&["127.0.0.9".parse().unwrap()], Some(1));
    let http = Http::new(Echo(Arc::clone(probe)), Arc::new(())).behind(proxies);
    Server::start("echo", ([127, 0, 0, 1], 0).into(), config, http).unwrap()
}

/// The response to these bytes, from a client of 127.0.0.9.
fn ask(server: &Server, request: &str) -> String {
    let mut stream = connect_from([127, 0, 0, 9], server.addr());
    stream.write_all(request.as_bytes()).unwrap();
    read_to_end(&mut stream)
}

fn assert_has(answer: &str, status: &str, origin: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("\r\nX-Origin: {origin}\r\n")),
        "{answer}"
    );
    let is_stored = !answer.contains("\r\nCache-Control: no-store\r\n");
    assert_eq!(is_stored, status == "200", "{answer}");
}

#[test]
fn refusals_and_panics_have_the_fields_of_their_origin() {
    let server = start(&Probe::new(), &config());
    let close = "Connection: close\r\nOrigin: http://a\r\n\r\n";
    let long = "x".repeat(20_000);
    for (request, status, origin) in [
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{close}"),
            "200",
            "http://a",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            "200",
            "none",
        ),
        (
            format!("GET /panic HTTP/1.1\r\nHost: a\r\n{close}"),
            "500",
            "http://a",
        ),
        (
            "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "500",
            "none",
        ),
        (format!("GET / HTTP/1.1\r\n{close}"), "400", "http://a"),
        (
            "GET / HTTP/1.1\norigin:http://a\n\n".to_owned(),
            "400",
            "http://a",
        ),
        (
            "GET / HTTP/1.1\r\nX-Origin: http://a\r\n\r\n".to_owned(),
            "400",
            "none",
        ),
        (
            format!("GET / HTTP/3.0\r\nHost: a\r\n{close}"),
            "505",
            "http://a",
        ),
        (
            format!("GET / HTTP/1.1\r\nOrigin: http://a\r\nX: {long}"),
            "431",
            "http://a",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nOrigin: http://a\r\n"),
            "414",
            "none",
        ),
    ] {
        assert_has(&ask(&server, &request), status, origin);
    }
    server.shutdown();
}

#[test]
fn a_panic_is_not_answered_with_the_origin_of_an_earlier_request() {
    let server = start(&Probe::new(), &config());
    let answers = ask(
        &server,
        "GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let (_, after) = answers.split_once("hello\n").unwrap();
    assert_has(after, "500", "none");
    server.shutdown();
}

#[test]
fn the_response_at_a_limit_has_the_fields_of_its_origin() {
    let probe = Probe::new();
    let one_worker = ServerConfig {
        workers: 1,
        queue_timeout: Period::from_millis(100),
        ..config()
    };
    let request = |path: &str, client: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: http://a\r\n\
             X-Forwarded-For: {client}\r\n\r\n"
        )
    };
    for (config, client, status) in [
        (config(), "192.0.2.1", "429"),
        (one_worker, "192.0.2.2", "503"),
    ] {
        let server = start(&probe, &config);
        let mut held = connect_from([127, 0, 0, 9], server.addr());
        held.write_all(request("/held", "192.0.2.1").as_bytes())
            .unwrap();
        probe.expect("waiting");
        assert_has(&ask(&server, &request("/", client)), status, "http://a");
        probe.gate.0.send(()).unwrap();
        assert_has(&read_to_end(&mut held), "200", "http://a");
        server.shutdown();
    }
}
