//! Every answer has a line in the access log, which names the client.

use std::io::Write;
use std::net::{Ipv6Addr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, Once};

use base::units::Period;
use log::{LevelFilter, Log, Metadata, Record};
use net::http::{Handler, Http, Request, Response, TrustedProxies, status};
use net::wire::Wire;
use net::{ACCESS_TARGET, Answer, Server, ServerConfig};
use proto::Head;
use proto::storage::StorageRequest;

use super::support::{
    Probe, Toy, ask_size, config, connect_from, fault, key, read_to_end, upload, wait_until,
};

/// The lines of all servers of this process.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));
static INSTALLED: Once = Once::new();

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == ACCESS_TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Waits for a line with all of these in it, and for no other one of its client.
fn expect_line(client: &str, parts: &[&str]) {
    let of_client = || -> Vec<String> {
        let lines = LINES.0.lock().unwrap();
        let is = |line: &&String| line.split(' ').any(|word| word == client);
        lines.iter().filter(is).cloned().collect()
    };
    wait_until(|| !of_client().is_empty());
    let lines = of_client();
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(
        parts.iter().all(|part| line.contains(part)),
        "{line}: {parts:?}"
    );
}

fn install() {
    INSTALLED.call_once(|| {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// `/held` waits for the gate of a probe.
struct Text(Arc<Probe>);

impl Handler for Text {
    fn handle(&self, request: Request) -> Answer<Response> {
        if request.path() == "/held" {
            self.0.events.0.send("waiting").unwrap();
            self.0.gate.1.recv().unwrap();
        }
        Answer::Now(Response::text(status::OK, "hello"))
    }
}

fn http(config: &ServerConfig, probe: &Arc<Probe>) -> Server {
    install();
    let trusted = ["127.0.2.2".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let http = Http::new(Text(Arc::clone(probe)), Arc::new(()));
    let http = http.behind(TrustedProxies::new(&trusted, None));
    Server::start("text", (Ipv6Addr::UNSPECIFIED, 0).into(), config, http).unwrap()
}

fn wire(config: &ServerConfig, probe: &Arc<Probe>) -> Server {
    install();
    let wire = Wire::new(Toy(Arc::clone(probe)), "toy", Arc::new(()));
    Server::start("toy", (Ipv6Addr::UNSPECIFIED, 0).into(), config, wire).unwrap()
}

/// One worker, and nobody waits for it for long.
fn crowded() -> ServerConfig {
    ServerConfig {
        workers: 1,
        queue_timeout: Period::from_millis(100),
        ..config()
    }
}

fn client(last: u8, server: &Server) -> TcpStream {
    let addr = ([127, 0, 0, 1], server.addr().port()).into();
    connect_from([127, 0, 2, last], addr)
}

fn ask(stream: &mut TcpStream, head: &[u8]) -> String {
    stream.write_all(head).unwrap();
    read_to_end(stream)
}

#[test]
fn a_client_is_named_by_its_own_address() {
    let server = http(&config(), &Probe::new());
    let request = b"GET /a HTTP/1.0\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";
    ask(&mut client(1, &server), request);
    expect_line("127.0.2.1", &["\"GET /a HTTP/1.0\" 200 6 \"-\" \"-\""]);
    let request = b"GET /b HTTP/1.0\r\nX-Forwarded-For: 198.51.100.9, 198.51.100.2\r\n\
        X-Forwarded-For: 10.1.1.1\r\n\r\n";
    ask(&mut client(2, &server), request);
    expect_line("198.51.100.2", &["\"GET /b HTTP/1.0\" 200 6"]);
    let server = wire(&config(), &Probe::new());
    ask_size(&mut client(3, &server));
    expect_line("127.0.2.3", &[" filesize app user f 8 ok "]);
}

#[test]
fn a_refused_head_is_told_by_its_beginning() {
    let server = http(&config(), &Probe::new());
    ask(
        &mut client(4, &server),
        b"GET /c\x01\xff HTTP/9\r\nHost: a\r\n\r\n",
    );
    expect_line(
        "127.0.2.4",
        &["\"GET /c\\u{1}\\xff HTTP/9\" ", "\"-\" \"-\""],
    );
    let endless = [&b"GET /"[..], &[b'"'; 20 << 10]].concat();
    let mut stream = client(5, &server);
    ask(&mut stream, &endless[..16 << 10]);
    expect_line("127.0.2.5", &["\"GET /%22%22", "%22\" 414 "]);
}

#[test]
fn no_field_of_a_line_is_long() {
    let server = http(&config(), &Probe::new());
    let head = format!(
        "GET /{} HTTP/1.0\r\nReferer: {}\r\nUser-Agent: {}\r\n\r\n",
        "\"".repeat(5000),
        "r".repeat(5000),
        "\u{fc}".repeat(2000),
    );
    ask(&mut client(6, &server), head.as_bytes());
    expect_line(
        "127.0.2.6",
        &["...\" 200 6 \"rrr", "...\" \"\u{fc}", "...\" 0."],
    );
    let lines = LINES.0.lock().unwrap();
    let line = lines.iter().find(|line| line.contains("127.0.2.6"));
    assert!(line.unwrap().len() < 7 << 10);
}

#[test]
fn who_is_told_that_the_server_is_busy_has_a_line() {
    let probe = Probe::new();
    let server = http(&crowded(), &probe);
    let mut held = client(7, &server);
    held.write_all(b"GET /held HTTP/1.0\r\n\r\n").unwrap();
    probe.expect("waiting");
    ask(&mut client(8, &server), b"GET /d HTTP/1.0\r\n\r\n");
    expect_line("127.0.2.8", &["\"GET /d HTTP/1.0\" 503 "]);
    probe.gate.0.send(()).unwrap();
    read_to_end(&mut held);

    let server = wire(&crowded(), &probe);
    let mut held = client(9, &server);
    let delete = StorageRequest::Delete(key("f")).encode();
    held.write_all(&delete).unwrap();
    probe.expect("waiting");
    let mut late = client(10, &server);
    late.write_all(&delete).unwrap();
    fault(&mut late);
    expect_line("127.0.2.10", &[" command-73 - - - ", " error-6 "]);
    probe.gate.0.send(()).unwrap();
}

#[test]
fn the_parts_of_a_proof_have_a_line_with_their_names() {
    let server = wire(&config(), &Probe::new());
    for (host, name, command, len) in [(12, "authenticate", 78, 88), (13, "prove", 79, 32)] {
        let mut stream = client(host, &server);
        let head = Head::request(command, len).encode();
        let text = [&[0; 24][..], b"127.0.0.1:1", &[0; 53]].concat();
        let body = &text[..len as usize];
        stream.write_all(&[&head[..], body].concat()).unwrap();
        fault(&mut stream);
        let name = format!(" {name} - - - ");
        expect_line(&format!("127.0.2.{host}"), &[&name, " error-"]);
    }
}

#[test]
fn an_upload_that_was_refused_and_did_not_end_has_a_line() {
    let server = wire(&config(), &Probe::new());
    let mut stream = client(11, &server);
    stream.write_all(&upload("refused", 1000)).unwrap();
    stream.write_all(&[0; 10]).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    expect_line("127.0.2.11", &[" upload app user refused 0 cut "]);
}
