use std::net::{TcpListener, TcpStream};

use net::Peer;
use test_support::until;

use super::*;

#[test]
fn a_client_waits_while_it_is_connected_and_its_request_is_young() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, addr) = listener.accept().unwrap();
    let stream = Arc::new(stream);
    let mut requester =
        Requester::new(Peer::new(addr, &stream).probe(), addr.ip(), &Arc::default());
    let begun = requester.last_heard;
    assert!(requester.waits(begun));
    assert!(!requester.waits(begun + CLIENT_TIMEOUT));
    // Content that comes makes it young again.
    until("the clock goes on", || boot_time() > begun);
    requester.touch();
    assert!(requester.waits(begun + CLIENT_TIMEOUT));
    drop(client);
    until("the end is seen", || !requester.waits(begun));
    assert!(!(requester.into_check())());
}

#[test]
fn a_request_that_is_read_after_a_standstill_may_be_as_old_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, addr) = listener.accept().unwrap();
    let stream = Arc::new(stream);
    let arrivals = Arc::<ArrivalClock>::default();
    let requester = || Requester::new(Peer::new(addr, &stream).probe(), addr.ip(), &arrivals);
    let mut before = requester();
    assert!(before.waits(boot_time()));
    // The process stood still since then.
    let arrivals = Arc::<ArrivalClock>::default();
    arrivals.beat(boot_time().saturating_sub(CLIENT_TIMEOUT));
    before.arrivals = Arc::clone(&arrivals);
    before.touch();
    assert!(!before.waits(boot_time()), "its content");
    let after = Requester::new(Peer::new(addr, &stream).probe(), addr.ip(), &arrivals);
    assert!(!after.waits(boot_time()), "a request");
}
