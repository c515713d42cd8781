//! The recorded requests of the C++ client, answered by our storage.

use proto::HEAD_LEN;
use test_peers::recorded::exchanges;
use test_peers::wire;

use super::support::Node;

#[test]
fn recorded_requests_get_the_recorded_answers() {
    let node = Node::start();
    let mut client = node.client();
    let mut answered = 0;
    for exchange in exchanges().iter().filter(|e| e.server == "storage") {
        let recorded = &exchange.response;
        let answer = wire::exchange(&mut client.0, &exchange.request);
        if exchange.ok {
            assert_eq!(&answer, recorded, "{}", exchange.command);
        } else {
            // Our failures carry a number of their own; their form is the same.
            assert_eq!(
                answer[8..HEAD_LEN],
                recorded[8..HEAD_LEN],
                "{}",
                exchange.command
            );
            let fault = wire::result_of(&answer).unwrap_err();
            assert!(fault.message.starts_with("[vm] "));
            assert_eq!(answer.last(), Some(&0));
        }
        answered += 1;
    }
    assert_eq!(answered, 9);
}
