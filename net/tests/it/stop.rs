//! A stop of the server.

use std::io::Write;

use base::units::Period;
use net::ServerConfig;
use proto::storage::StorageRequest;

use super::support::*;

#[test]
fn a_stop_finishes_what_is_in_flight_and_closes_the_rest() {
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let addr = server.addr();
    let mut idle = connect(addr);
    assert_eq!(ask_size(&mut idle), 1);
    let mut busy = connect(addr);
    busy.write_all(&StorageRequest::Delete(key("f")).encode())
        .unwrap();
    probe.expect("waiting");
    let mut sending = connect(addr);
    sending.write_all(&upload("told", 6)).unwrap();
    sending.write_all(b"abc").unwrap();
    probe.expect("taken");
    std::thread::scope(|scope| {
        let stop = scope.spawn(move || server.shutdown());
        assert_closed(&mut idle);
        assert!(!stop.is_finished());
        probe.gate.0.send(()).unwrap();
        assert!(receive(&mut busy).0.is_ok());
        sending.write_all(b"def").unwrap();
        assert_eq!(number(&mut sending), 6);
        stop.join().unwrap();
    });
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn a_stop_breaks_off_what_misses_its_deadline() {
    let probe = Probe::new();
    let stop_timeout = Period::from_millis(200);
    let server = start(
        &ServerConfig {
            stop_timeout,
            ..config()
        },
        &probe,
    );
    let mut stream = connect(server.addr());
    stream.write_all(&upload("told", 6)).unwrap();
    stream.write_all(b"abc").unwrap();
    probe.expect("taken");
    server.shutdown();
    assert_closed(&mut stream);
    probe.expect("undone");
}
