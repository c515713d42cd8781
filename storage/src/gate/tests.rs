use test_support::until;

use super::*;

/// Long enough for what must happen; nothing here waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn gates(count: usize, workers: u32, patience: Duration) -> Arc<Gates> {
    let server = ServerConfig {
        workers,
        fast_workers: 4,
        ..ServerConfig::default()
    };
    Gates::new(count, &server, patience)
}

/// Goes in until nobody is let in any more.
fn fill(gate: &Gate, lane: WorkerPool) -> Vec<Pass> {
    std::iter::from_fn(|| gate.enter_now(lane).ok()).collect()
}

#[test]
fn some_workers_always_stay_outside() {
    for (workers, let_in) in [(1, 1), (2, 1), (4, 3), (16, 12), (1024, 768)] {
        let gate = gates(1, workers, LONG).gate(0);
        let inside = fill(&gate, WorkerPool::Slow);
        assert_eq!(inside.len(), let_in, "of {workers}");
        // The lanes have workers of their own.
        assert_eq!(fill(&gate, WorkerPool::Fast).len(), 3);
        drop(inside);
        assert!(gate.enter_now(WorkerPool::Slow).is_ok());
    }
}

/// Waits until a worker waits to be let in.
fn until_waiting(gate: &Gate) {
    let waiting = || gate.gates.rooms.lock()[gate.idx].waiting[index(WorkerPool::Slow)];
    until("a worker waits", || waiting() > 0);
}

#[test]
fn one_disk_leaves_workers_for_the_others() {
    let gates = gates(3, 16, LONG);
    let passes: Vec<_> = (0..3)
        .map(|idx| fill(&gates.gate(idx), WorkerPool::Slow))
        .collect();
    let counts: Vec<_> = passes.iter().map(Vec::len).collect();
    assert_eq!(counts, [8, 3, 1]);
}

#[test]
fn who_waits_goes_in_when_another_comes_back() {
    let gate = gates(1, 2, LONG).gate(0);
    let inside = gate.enter_now(WorkerPool::Slow).unwrap();
    let waiting = gate.clone();
    let waiter =
        std::thread::spawn(move || waiting.enter(Visitor::Worker(WorkerPool::Slow)).map(drop));
    until_waiting(&gate);
    drop(inside);
    waiter.join().unwrap().unwrap();
}

#[test]
fn who_waits_for_another_disk_goes_in_too() {
    // Of three workers two may be inside, and at one of two disks one of them.
    let gates = gates(2, 3, LONG);
    let inside =
        [gates.gate(0), gates.gate(1)].map(|gate| gate.enter_now(WorkerPool::Slow).unwrap());
    let waiters = [0, 1].map(|idx| {
        let gate = gates.gate(idx);
        let waiting = gate.clone();
        let waiter =
            std::thread::spawn(move || waiting.enter(Visitor::Worker(WorkerPool::Slow)).map(drop));
        until_waiting(&gate);
        waiter
    });
    drop(inside);
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
}

#[test]
fn a_disk_that_does_not_answer_lets_nobody_in_until_it_does() {
    let gates = gates(2, 2, Duration::ZERO);
    let (gate, other) = (gates.gate(0), gates.gate(1));
    assert!(!gate.watch());
    gate.ask();
    assert!(gate.watch());
    assert!(!gate.watch(), "it is news once");
    for visitor in [Visitor::Worker(WorkerPool::Fast), Visitor::Chore] {
        let refused = gate.enter(visitor).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
    }
    assert!(gate.hangs() && !other.hangs());
    assert!(other.enter(Visitor::Chore).is_ok());
    assert!(gate.answered());
    assert!(!gate.answered());
    assert!(gate.enter(Visitor::Chore).is_ok());
}

#[test]
fn who_waits_is_sent_away_when_the_disk_hangs() {
    let gates = gates(1, 2, Duration::from_millis(100));
    let gate = gates.gate(0);
    let _inside = gate.enter_now(WorkerPool::Slow).unwrap();
    gate.ask();
    let waiting = gate.clone();
    let waiter = std::thread::spawn(move || {
        let far = Instant::now() + LONG;
        waiting
            .enter_until(Visitor::Worker(WorkerPool::Slow), far)
            .err()
    });
    until_waiting(&gate);
    until("the disk is out of bounds", || gate.watch());
    let refused = waiter.join().unwrap().unwrap();
    assert!(refused.to_string().contains("does not answer"), "{refused}");
    assert_eq!(gate.n_inside(), 1);
    assert!(gate.is_slow(Duration::ZERO) && !gate.is_slow(LONG));
}

#[test]
fn files_of_a_disk_that_is_only_busy_are_closed_meanwhile() {
    let gate = gates(1, 2, LONG).gate(0);
    let path = tempfile::NamedTempFile::new().unwrap();
    let open = || GatedFile::new(File::open(path.path()).unwrap(), gate.clone());
    let waiting = || gate.gates.rooms.lock()[0].closing.len();
    drop(open());
    assert_eq!(waiting(), 0);
    let file = open();
    let inside = fill(&gate, WorkerPool::Slow);
    drop(file);
    assert_eq!(waiting(), 1);
    let closer = gate.clone();
    let closer = std::thread::spawn(move || closer.close_files());
    until("the file is closed", || waiting() == 0);
    gate.end();
    closer.join().unwrap();
    drop(inside);
}

#[test]
fn files_of_a_disk_that_hangs_do_not_hold_who_drops_them() {
    let gate = gates(1, 2, Duration::ZERO).gate(0);
    let path = tempfile::NamedTempFile::new().unwrap();
    let file = GatedFile::new(File::open(path.path()).unwrap(), gate.clone());
    gate.ask();
    gate.watch();
    assert!(file.enter().is_err());
    drop(file);
    assert_eq!(gate.gates.rooms.lock()[0].closing.len(), 1);
}
