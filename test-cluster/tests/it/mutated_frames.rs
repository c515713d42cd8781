//! Mutated frames before the proof of a key cost neither a process nor memory.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;

use bench::content::next_random;
use proto::{HEAD_LEN, ServerKind};
use test_cluster::proc;
use test_peers::wire::connect;

use crate::commands;
use crate::guarded::{Guarded, WIRE, kind};

/// The seed of the mutations.
const SEED: u64 = 20_261_201;
/// Frames for each port, unless the environment has another number.
const FRAMES: u64 = 20_000;
/// Frames before the first look at the memory: each thread and its buffers are then in use.
const WARM_UP: u64 = 4_000;
/// Frames on one connection. Only the last one may have a wrong head: what follows it would not be read.
const BURST: u64 = 32;
/// Limit on the growth of a process, in KiB: far below one connection's buffers for each burst.
const GROWTH_MAX_KIB: u64 = 8 << 10;

fn frames_wanted() -> u64 {
    let number = std::env::var("TNV_TEST_FRAMES").ok();
    number.map_or(FRAMES, |number| number.parse().unwrap())
}

/// Changes frames at random.
struct Mutator {
    state: u64,
    /// PROVE at the end: a wrong proof ends the connection.
    frames: Vec<Vec<u8>>,
}

impl Mutator {
    fn new(server: ServerKind, address: SocketAddr, guarded: &Guarded) -> Mutator {
        let requests = commands::all(server, &guarded.stored);
        let mut frames: Vec<_> = requests.into_iter().map(|(_, frame)| frame).collect();
        frames.push(guarded.authenticate(server, address));
        frames.extend(commands::proof(server, address));
        Mutator {
            state: SEED,
            frames,
        }
    }

    fn below(&mut self, max: usize) -> usize {
        (next_random(&mut self.state) % max.max(1) as u64) as usize
    }

    /// One of the first `count` frames, with its own head and another body.
    fn with_other_body(&mut self, count: usize) -> Vec<u8> {
        let idx = self.below(count);
        let mut frame = self.frames[idx].clone();
        let len = frame.len() - HEAD_LEN;
        for _ in 0..=self.below(8) {
            let at = HEAD_LEN + self.below(len);
            let count = 1 + self.below(40);
            let byte = next_random(&mut self.state) as u8;
            let is_flip = self.below(2) == 0;
            for place in frame.iter_mut().skip(at).take(count) {
                *place = if is_flip { *place ^ byte } else { byte };
            }
        }
        frame
    }

    /// A frame with another head, or with bytes missing or added.
    fn with_other_shape(&mut self) -> Vec<u8> {
        let mut frame = self.with_other_body(self.frames.len());
        match self.below(5) {
            0 => frame.truncate(self.below(frame.len())),
            1 => frame.extend(vec![0xFF; self.below(3000)]),
            2 => frame[8] = next_random(&mut self.state) as u8,
            3 => {
                let lens = [i64::MIN, -1, 0, 1, 8192, 8193, 1 << 40, i64::MAX];
                let len = lens[self.below(lens.len())];
                frame[..8].copy_from_slice(&len.to_be_bytes());
            }
            _ => {
                let at = self.below(HEAD_LEN);
                frame[at] ^= 1 << self.below(8);
            }
        }
        frame
    }

    fn burst(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 1..count {
            bytes.extend(self.with_other_body(self.frames.len() - 1));
        }
        bytes.extend(self.with_other_shape());
        bytes
    }
}

/// Sends frames, and reads the replies until the server closes.
fn send(address: SocketAddr, mutator: &mut Mutator, count: u64) {
    let mut left = count;
    while left > 0 {
        let burst = left.min(BURST);
        left -= burst;
        let mut stream = connect(address);
        // The server may close before it has read everything.
        let _ = stream.write_all(&mutator.burst(burst));
        let _ = stream.shutdown(Shutdown::Write);
        match stream.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
            Err(e) => panic!("{address} keeps a connection open: {e}"),
        }
    }
}

#[test]
fn mutated_frames_before_the_proof_cost_neither_a_process_nor_memory() {
    let frames = frames_wanted();
    println!("seed {SEED}, {frames} frames for each port");
    let mut guarded = Guarded::with_key("");
    let pids = WIRE.map(|role| guarded.fixture.cluster.pid_of(role).unwrap());
    let nodes = WIRE.map(|role| guarded.node(role));
    let mut mutators = WIRE.map(|role| {
        let address = guarded.node(role).addr;
        Mutator::new(kind(role), address, &guarded)
    });
    let mut round = |count| {
        thread::scope(|scope| {
            for (mutator, node) in mutators.iter_mut().zip(&nodes) {
                scope.spawn(move || send(node.addr, mutator, count));
            }
        });
        pids.map(|pid| proc::figures(pid).unwrap().rss_kib)
    };
    let before = round(WARM_UP.min(frames));
    let after = round(frames.saturating_sub(WARM_UP));
    for ((node, before), after) in nodes.iter().zip(before).zip(after) {
        let answered = guarded.requests(node);
        println!(
            "{}: {answered} requests answered, {before} KiB before, {after} KiB after",
            node.name
        );
        assert!(answered >= frames / 2, "{answered}");
        assert!(after <= before + GROWTH_MAX_KIB, "{}", node.name);
    }
    guarded.assert_unharmed();
}
