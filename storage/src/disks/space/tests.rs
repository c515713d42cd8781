use std::fs::File;

use base::units::ByteSize;

use super::*;

fn space(available: u64) -> Space {
    Space {
        total: 1 << 30,
        free: available + 10,
        reserved: 7,
        claimed: 3,
    }
}

#[test]
fn full_and_not_full_lie_apart() {
    assert!(space(0).is_full(false));
    assert!(!space(1).is_full(false));
    assert!(space((1 << 30) / 100 - 1).is_full(true));
    assert!(!space((1 << 30) / 100).is_full(true));
    // However large the disk, a gibibyte is room enough.
    let huge = Space {
        total: 1 << 60,
        ..space(1 << 30)
    };
    assert!(!huge.is_full(true));
    assert_eq!(space(5).available(), 5);
    let overdrawn = Space {
        free: 2,
        ..space(0)
    };
    assert_eq!(overdrawn.available(), 0);
}

const GIB: u64 = 1 << 30;
const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

#[test]
fn one_address_is_promised_half_of_the_room_and_leaves_the_rest_to_others() {
    let mut state = State::default();
    let space = |state: &State| Space {
        total: 200 * GIB,
        free: 110 * GIB,
        reserved: 10 * GIB,
        claimed: state.claimed,
    };
    let grant =
        |state: &mut State, address, wanted| state.grant(space(state), 0, address, wanted, wanted);
    for _ in 0..12 {
        assert_eq!(grant(&mut state, A, 4 * GIB), Ok(4 * GIB));
    }
    assert_eq!(grant(&mut state, A, 4 * GIB), Ok(2 * GIB));
    assert_eq!(
        grant(&mut state, A, 1),
        Err(ReservationError::TooMuchForOne)
    );
    assert_eq!(grant(&mut state, A, 0), Ok(0));
    assert!(!space(&state).is_mostly_claimed());
    assert_eq!(grant(&mut state, B, 4 * GIB), Ok(4 * GIB));
    assert!(space(&state).is_mostly_claimed());
    // What is plainly not there is refused at once.
    let refused = state.grant(space(&state), 0, B, 4 * GIB, 60 * GIB);
    assert_eq!(refused, Err(ReservationError::NoSpace));
    state.release(A, 50 * GIB);
    state.release(B, 4 * GIB);
    assert!(state.by_address.is_empty() && state.claimed == 0);
}

#[test]
fn little_is_promised_ahead_of_what_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let open = File::open(folder.path()).unwrap();
    let tracker = Arc::new(SpaceTracker::new(Reserve::Bytes(ByteSize::new(0))));
    tracker.measure(&open).unwrap();
    let size = tracker.space().free / 4 * 3;
    let mut reservation = tracker
        .reserve(&open, size, A)
        .unwrap()
        .unwrap_or_else(|e| panic!("{e:?}"));
    let claimed = || tracker.state.lock().claimed;
    assert!(claimed() <= AHEAD_MAX);
    reservation.shrink(size / 2);
    reservation.extend(&open, 1).unwrap();
    assert!(claimed() <= AHEAD_MAX && reservation.to_come() == size / 2);
    drop(reservation);
    assert_eq!(claimed(), 0);
}

#[test]
fn promised_space_is_taken_until_it_is_written_or_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let open = File::open(folder.path()).unwrap();
    let stat = rustix::fs::fstatvfs(&open).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    let tracker = Arc::new(SpaceTracker::new(Reserve::Bytes(ByteSize::new(0))));
    // Others use this disk, too: halves of it leave room for doubt.
    let most = (free / 4 * 3).min(PER_ADDRESS_MIN);
    let mut reservation = tracker.reserve(&open, most, A).unwrap().ok().unwrap();
    assert!(tracker.reserve(&open, free, B).unwrap().is_err());
    tracker.measure(&open).unwrap();
    assert_eq!(tracker.space().claimed, most);
    reservation.shrink(10);
    assert_eq!(reservation.to_come(), 10);
    let other = tracker.reserve(&open, most, B).unwrap().ok().unwrap();
    drop(reservation);
    drop(other);
    tracker.measure(&open).unwrap();
    assert_eq!(tracker.space().claimed, 0);
}

#[test]
fn a_reserve_larger_than_the_disk_fills_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = File::open(folder.path()).unwrap();
    let tracker = Arc::new(SpaceTracker::new(Reserve::Bytes(ByteSize::new(1 << 60))));
    assert_eq!(tracker.measure(&open).unwrap(), Some(true));
    assert_eq!(tracker.measure(&open).unwrap(), None);
    assert!(tracker.reserve(&open, 0, A).unwrap().is_err());
    tracker.set_reserved_space(Reserve::Bytes(ByteSize::new(0)));
    assert_eq!(tracker.measure(&open).unwrap(), Some(false));
    assert!(tracker.reserve(&open, 0, A).unwrap().is_ok());
}
