use test_support::until;

use super::*;

/// Long enough for what must happen; nothing here waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn limiters(count: usize, workers: u32, timeout: Duration) -> Arc<DiskLimiters> {
    let server = ServerConfig {
        workers,
        fast_workers: 4,
        ..ServerConfig::default()
    };
    DiskLimiters::new(count, &server, timeout)
}

/// Goes in until nobody is let in any more.
fn fill(limiter: &DiskLimiter, pool: WorkerPool) -> Vec<Permit> {
    std::iter::from_fn(|| limiter.try_acquire(pool).ok()).collect()
}

#[test]
fn some_workers_always_stay_outside() {
    for (workers, let_in) in [(1, 1), (2, 1), (4, 3), (16, 12), (1024, 768)] {
        let limiter = limiters(1, workers, LONG).limiter(0);
        let inside = fill(&limiter, WorkerPool::Slow);
        assert_eq!(inside.len(), let_in, "of {workers}");
        // The pools have workers of their own.
        assert_eq!(fill(&limiter, WorkerPool::Fast).len(), 3);
        drop(inside);
        assert!(limiter.try_acquire(WorkerPool::Slow).is_ok());
    }
}

/// Waits until a worker waits to be let in.
fn until_waiting(limiter: &DiskLimiter) {
    let waiting = || limiter.disk().waiting[index(WorkerPool::Slow)];
    until("a worker waits", || waiting() > 0);
}

#[test]
fn one_disk_leaves_workers_for_the_others() {
    let limiters = limiters(3, 16, LONG);
    let passes: Vec<_> = (0..3)
        .map(|idx| fill(&limiters.limiter(idx), WorkerPool::Slow))
        .collect();
    let counts: Vec<_> = passes.iter().map(Vec::len).collect();
    assert_eq!(counts, [8, 3, 1]);
}

#[test]
fn who_waits_goes_in_when_another_comes_back() {
    let limiter = limiters(1, 2, LONG).limiter(0);
    let inside = limiter.try_acquire(WorkerPool::Slow).unwrap();
    let waiting = limiter.clone();
    let waiter = std::thread::spawn(move || {
        waiting
            .acquire(DiskCaller::Request(WorkerPool::Slow))
            .map(drop)
    });
    until_waiting(&limiter);
    drop(inside);
    waiter.join().unwrap().unwrap();
}

#[test]
fn who_waits_for_another_disk_goes_in_too() {
    // Of three workers two may be inside, and at one of two disks one of them.
    let limiters = limiters(2, 3, LONG);
    let [first, _second] = [limiters.limiter(0), limiters.limiter(1)]
        .map(|limiter| limiter.try_acquire(WorkerPool::Slow).unwrap());
    let waiters = [0, 1].map(|idx| {
        let limiter = limiters.limiter(idx);
        let waiting = limiter.clone();
        let waiter = std::thread::spawn(move || {
            waiting
                .acquire(DiskCaller::Request(WorkerPool::Slow))
                .map(drop)
        });
        until_waiting(&limiter);
        waiter
    });
    // The other disk's worker stays inside.
    drop(first);
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
}

#[test]
fn a_disk_that_does_not_answer_lets_nobody_in_until_it_does() {
    let limiters = limiters(2, 2, Duration::ZERO);
    let (limiter, other) = (limiters.limiter(0), limiters.limiter(1));
    assert!(!limiter.check_timeout());
    limiter.begin_probe();
    assert!(limiter.check_timeout());
    assert!(!limiter.check_timeout(), "it is news once");
    for visitor in [
        DiskCaller::Request(WorkerPool::Fast),
        DiskCaller::Background,
    ] {
        let refused = limiter.acquire(visitor).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
    }
    assert!(limiter.hangs() && !other.hangs());
    assert!(other.acquire(DiskCaller::Background).is_ok());
    assert!(limiter.end_probe());
    assert!(!limiter.end_probe());
    assert!(limiter.acquire(DiskCaller::Background).is_ok());
}

#[test]
fn who_waits_is_sent_away_when_the_disk_hangs() {
    let limiters = limiters(1, 2, Duration::from_millis(100));
    let limiter = limiters.limiter(0);
    let _inside = limiter.try_acquire(WorkerPool::Slow).unwrap();
    limiter.begin_probe();
    let waiting = limiter.clone();
    let waiter = std::thread::spawn(move || {
        let far = Instant::now() + LONG;
        waiting
            .acquire_until(DiskCaller::Request(WorkerPool::Slow), far)
            .err()
    });
    until_waiting(&limiter);
    until("the disk is out of bounds", || limiter.check_timeout());
    let refused = waiter.join().unwrap().unwrap();
    assert!(refused.to_string().contains("does not answer"), "{refused}");
    assert_eq!(limiter.n_permits(), 1);
    assert!(limiter.is_slow(Duration::ZERO) && !limiter.is_slow(LONG));
}

#[test]
fn files_of_a_disk_that_is_only_busy_are_closed_meanwhile() {
    let limiter = limiters(1, 2, LONG).limiter(0);
    let path = tempfile::NamedTempFile::new().unwrap();
    let open = || LimitedFile::new(File::open(path.path()).unwrap(), limiter.clone());
    let waiting = || limiter.limiters.to_close[0].1.len();
    drop(open());
    assert_eq!(waiting(), 0);
    let file = open();
    let inside = fill(&limiter, WorkerPool::Slow);
    drop(file);
    assert_eq!(waiting(), 1);
    let (closer, stop) = (limiter.clone(), Stop::new());
    let stopped = stop.clone();
    let closer = std::thread::spawn(move || closer.close_files(&stopped));
    until("the file is closed", || waiting() == 0);
    stop.trip();
    closer.join().unwrap();
    drop(inside);
}

#[test]
fn files_of_a_disk_that_hangs_do_not_hold_who_drops_them() {
    let limiter = limiters(1, 2, Duration::ZERO).limiter(0);
    let path = tempfile::NamedTempFile::new().unwrap();
    let file = LimitedFile::new(File::open(path.path()).unwrap(), limiter.clone());
    limiter.begin_probe();
    limiter.check_timeout();
    assert!(file.acquire().is_err());
    drop(file);
    assert_eq!(limiter.limiters.to_close[0].1.len(), 1);
}
