use base::units::ByteSize;

use super::*;

fn key(user: &str) -> FileKey {
    FileKey {
        app: "tnvideo".parse().unwrap(),
        user: user.parse().unwrap(),
        file: "f".parse().unwrap(),
    }
}

fn quota(user: Option<&str>, bytes: Option<u64>, files: Option<u64>) -> Quota {
    Quota {
        app: "tnvideo".parse().unwrap(),
        user: user.map(|user| user.parse().unwrap()),
        bytes: bytes.map(ByteSize::new),
        files,
    }
}

/// Counts everything that is due, with this result.
fn count(quotas: &Quotas, sum: Sum, now: Instant) -> Vec<Scope> {
    std::iter::from_fn(|| {
        let scope = quotas.begin_count(now)?;
        quotas.counted(&scope, Some(sum), Duration::ZERO, now);
        Some(scope)
    })
    .collect()
}

#[test]
fn an_upload_beyond_the_quota_is_refused_with_its_name_limit_and_use() {
    let quotas = Quotas::new(vec![quota(Some("alice"), Some(100), None)]);
    let now = Instant::now();
    // Nothing is known yet.
    let first = quotas.begin(&key("alice"), 1000, now).unwrap();
    drop(first);
    assert_eq!(
        count(
            &quotas,
            Sum {
                files: 1,
                bytes: 60
            },
            now
        )
        .len(),
        1
    );
    let refused = quotas.begin(&key("alice"), 41, now).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NoSpace);
    let text = "the quota of user alice of application tnvideo is 100 bytes, 60 are used, and the file has 41";
    assert_eq!(refused.message, text);
    quotas.begin(&key("bob"), 1 << 40, now).unwrap();
    let held = quotas.begin(&key("alice"), 40, now).unwrap();
    // It counts while it lasts, and when it is stored.
    quotas.begin(&key("alice"), 1, now).unwrap_err();
    held.stored();
    quotas.begin(&key("alice"), 1, now).unwrap_err();
    quotas.removed(&key("alice"), 40);
    drop(quotas.begin(&key("alice"), 40, now).unwrap());
    quotas.begin(&key("alice"), 40, now).unwrap();
}

#[test]
fn each_user_has_its_own_quota_and_all_have_that_of_the_application() {
    let quotas = Quotas::new(vec![
        quota(Some("*"), None, Some(2)),
        quota(Some("alice"), None, Some(5)),
        quota(None, None, Some(4)),
    ]);
    let now = Instant::now();
    for user in ["alice", "bob", "carol"] {
        quotas.begin(&key(user), 1, now).unwrap();
    }
    assert_eq!(count(&quotas, Sum::default(), now).len(), 4);
    let store = |user: &str| quotas.begin(&key(user), 1, now).map(QuotaHold::stored);
    assert!(store("bob").is_ok() && store("bob").is_ok());
    let refused = store("bob").unwrap_err().message;
    assert!(refused.contains("user bob"), "{refused}");
    assert!(store("alice").is_ok() && store("alice").is_ok());
    for user in ["alice", "carol"] {
        let refused = store(user).unwrap_err().message;
        assert!(
            refused.contains("quota of application tnvideo is 4 files"),
            "{refused}"
        );
    }
    quotas.reload(Vec::new());
    store("bob").unwrap();
}

#[test]
fn a_count_takes_the_place_of_what_was_known_before_it_began() {
    let quotas = Quotas::new(vec![quota(Some("alice"), None, Some(10))]);
    let now = Instant::now();
    let store = |now| quotas.begin(&key("alice"), 1, now).map(QuotaHold::stored);
    store(now).unwrap();
    let scope = quotas.begin_count(now).unwrap();
    // It may be in the count or not: it is counted twice at most until the next count.
    store(now).unwrap();
    quotas.counted(
        &scope,
        Some(Sum { files: 8, bytes: 8 }),
        Duration::ZERO,
        now,
    );
    store(now).unwrap();
    store(now).unwrap_err();
    // No count without an upload, and not before its time.
    assert_eq!(
        quotas.begin_count(now + PERIOD - Duration::from_secs(1)),
        None
    );
    let later = now + PERIOD;
    let scope = quotas.begin_count(later).unwrap();
    quotas.counted(&scope, None, Duration::ZERO, later);
    assert_eq!(quotas.begin_count(later), None);
    let scope = quotas.begin_count(later + RETRY_AFTER).unwrap();
    quotas.counted(&scope, Some(Sum::default()), Duration::from_secs(10), later);
    store(later).unwrap();
    assert_eq!(
        quotas.begin_count(later + PERIOD),
        None,
        "counts take too much time"
    );
}
