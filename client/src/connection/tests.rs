use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use proto::{Head, storage};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};

use super::*;

fn send_with_descriptor(stream: &UnixStream, bytes: &[u8]) {
    let file = tempfile::tempfile().unwrap();
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&descriptors));
    let bytes = [IoSlice::new(bytes)];
    sendmsg(stream, &bytes, &mut message, SendFlags::NOSIGNAL).unwrap();
}

#[test]
fn a_descriptor_of_an_earlier_reply_is_not_taken_for_one_of_this_reply() {
    let (own, peer) = UnixStream::pair().unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    let stream = OwnedFd::from(own).into();
    let mut connection = Connection {
        descriptors: Some(DescriptorReceiver::default()),
        ..Connection::new(&address, stream, &ConnectionConfig::default())
    };
    for takes in [true, false] {
        connection.begin_long();
        send_with_descriptor(&peer, &Head::reply(storage::REPLY, 0).encode());
        assert_eq!(connection.read_head(storage::REPLY).unwrap(), 0);
        assert!(!takes || connection.take_descriptor().is_some());
    }
    connection.begin_long();
    assert!(connection.take_descriptor().is_none());
}
