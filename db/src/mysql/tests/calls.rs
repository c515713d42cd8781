//! When a statement is repeated, and how a call ends.

use super::*;

fn call(effect: Effect) -> Call {
    Call {
        what: "add",
        effect,
        tries: 0,
        losses: 0,
        is_unknown: false,
        until: Instant::now() + Duration::from_secs(60),
    }
}

#[test]
fn what_the_server_undid_is_repeated_with_a_bound() {
    for code in [1205, 1213] {
        let mut call = call(Effect::Once);
        for _ in 1..TRIES_MAX {
            assert!(call.after(Failure::of_code(code)).unwrap() <= WAIT_MAX);
        }
        let end = call.after(Failure::of_code(code)).unwrap_err();
        assert!(matches!(end, DbError::Unavailable { .. }), "{end:?}");
    }
}

#[test]
fn a_lost_write_is_unknown_whatever_comes_later() {
    let lost = || Failure::of_code(1180);
    let once = call(Effect::Once).after(lost()).unwrap_err();
    assert!(matches!(once, DbError::UnknownOutcome { .. }));
    // Refused before anything was sent.
    assert!(call(Effect::Once).after(Failure::of_code(1047)).is_ok());
    let mut idempotent = call(Effect::Idempotent);
    assert!(idempotent.after(lost()).is_ok());
    let away = idempotent.after(DbError::Closed.into()).unwrap_err();
    assert!(matches!(away, DbError::UnknownOutcome { .. }));
    let mut read = call(Effect::Read);
    assert!(read.after(lost()).is_ok());
    assert!(matches!(
        read.after(DbError::Closed.into()),
        Err(DbError::Closed)
    ));
    let conflict = call(Effect::Once)
        .after(Failure::of_code(1062))
        .unwrap_err();
    assert!(conflict.is_conflict());
}

#[test]
fn a_conflict_after_a_lost_write_is_unknown_unless_the_row_is_known_to_be_another_one() {
    let lost = || {
        let mut call = call(Effect::Idempotent);
        assert!(call.after(Failure::of_code(1180)).is_ok());
        call
    };
    for code in [1062, 1586] {
        let own = lost().after(Failure::of_code(code)).unwrap_err();
        assert!(matches!(own, DbError::UnknownOutcome { .. }), "{own:?}");
        let another = Failure::of_code(code).with_another_row();
        assert!(lost().after(another).unwrap_err().is_conflict());
    }
    // Any other error is returned unchanged.
    let full = lost().after(Failure::of_code(1114).with_another_row());
    assert!(matches!(full, Err(DbError::UnknownOutcome { .. })));
}

#[test]
fn what_a_column_refuses_is_no_outage_and_is_found_nowhere() {
    for code in [1264, 1267, 1292, 1366, 1406] {
        let refused = call(Effect::Once)
            .after(Failure::of_code(code))
            .unwrap_err();
        assert!(matches!(refused, DbError::Unfit { .. }), "{refused:?}");
        assert!(!refused.is_unavailable());
        assert!(matches!(DbError::found::<()>(Err(refused)), Ok(None)));
    }
}
