//! Keeps a disk that hangs from taking all workers. Whoever goes to a store path passes its gate
//! first, and is inside until it is back from the disk. A part of the workers is never let in, so
//! that somebody is left to say 'unavailable' and to serve the other store paths.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{ServerConfig, WorkerPool};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Files that wait to be closed; more are closed by whoever drops them.
const CLOSING_MAX: usize = 65_536;

/// Who goes to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// A worker: only so many are let in.
    Worker(WorkerPool),
    /// A thread that serves nobody.
    Chore,
}

/// The gates of all store paths.
pub(crate) struct Gates {
    /// Most workers of each lane that are inside at a time.
    limits: [usize; 2],
    /// How long a worker waits to be let in, and a disk may take to answer.
    patience: Duration,
    rooms: Mutex<Vec<Room>>,
    /// Where workers wait to be let in, by store path and lane: all who wait in one place wait for
    /// the same, so that one of them is woken when somebody comes out.
    waiting: Vec<[Condvar; 2]>,
    /// Where the threads wait that close files, by store path.
    to_close: Vec<Condvar>,
}

/// What is behind the gate of one store path.
#[derive(Default)]
struct Room {
    inside: [usize; 2],
    /// Workers of each lane that wait to be let in.
    waiting: [usize; 2],
    /// When each of them went in, by ticket: the first one is in for longest.
    entered: BTreeMap<u64, Instant>,
    tickets: u64,
    /// Since when the probe waits for an answer.
    asked: Option<Instant>,
    hangs: bool,
    closing: Vec<File>,
    /// Whether the thread that closes them is to end.
    ended: bool,
}

/// The gate of one store path.
#[derive(Clone)]
pub(crate) struct Gate {
    gates: Arc<Gates>,
    idx: usize,
}

/// Allows to be at the disk; dropping it says that one is back.
pub(crate) struct Pass {
    gate: Gate,
    ticket: u64,
    visitor: Visitor,
}

impl Gates {
    /// Gates for `count` store paths.
    pub(crate) fn new(count: usize, server: &ServerConfig, patience: Duration) -> Arc<Gates> {
        Arc::new(Gates {
            limits: [server.workers, server.fast_workers].map(admitted),
            patience,
            rooms: Mutex::new((0..count).map(|_| Room::default()).collect()),
            waiting: (0..count).map(|_| Default::default()).collect(),
            to_close: (0..count).map(|_| Condvar::new()).collect(),
        })
    }

    /// The gate of a store path.
    pub(crate) fn gate(self: &Arc<Gates>, idx: usize) -> Gate {
        Gate {
            gates: Arc::clone(self),
            idx,
        }
    }

    /// Whether one more worker may go in. One store path gets at most twice as many as are left
    /// for the others: if it hangs, they go on.
    fn admits(&self, rooms: &[Room], idx: usize, lane: usize) -> bool {
        let inside: usize = rooms.iter().map(|room| room.inside[lane]).sum();
        let left = self.limits[lane].saturating_sub(inside);
        left > 0 && (rooms.len() == 1 || rooms[idx].inside[lane] < 2 * left)
    }
}

/// How many workers of a lane may be at disks at a time: a quarter stays, at least one if there are
/// two.
fn admitted(workers: u32) -> usize {
    let workers = workers as usize;
    (workers - (workers / 4).max(1).min(workers)).max(1)
}

fn index(lane: WorkerPool) -> usize {
    match lane {
        WorkerPool::Slow => 0,
        WorkerPool::Fast => 1,
    }
}

impl Gate {
    /// Lets somebody in. A worker may have to wait until another one comes back.
    ///
    /// # Errors
    /// Timed out: the disk hangs, or holds too many workers for too long.
    pub(crate) fn enter(&self, visitor: Visitor) -> io::Result<Pass> {
        self.enter_until(visitor, Instant::now() + self.gates.patience)
    }

    /// Lets a worker in if that takes no waiting.
    fn enter_now(&self, lane: WorkerPool) -> io::Result<Pass> {
        self.enter_until(Visitor::Worker(lane), Instant::now())
    }

    fn enter_until(&self, visitor: Visitor, deadline: Instant) -> io::Result<Pass> {
        let gates = &self.gates;
        let mut rooms = gates.rooms.lock();
        loop {
            if rooms[self.idx].hangs {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "the disk does not answer",
                ));
            }
            match visitor {
                Visitor::Worker(lane) if !gates.admits(&rooms, self.idx, index(lane)) => {
                    let place = &gates.waiting[self.idx][index(lane)];
                    rooms[self.idx].waiting[index(lane)] += 1;
                    let waited = place.wait_until(&mut rooms, deadline);
                    rooms[self.idx].waiting[index(lane)] -= 1;
                    if waited.timed_out() {
                        let text = "the disk is too slow, too many requests wait for it";
                        return Err(io::Error::new(ErrorKind::TimedOut, text));
                    }
                }
                _ => break,
            }
        }
        let ticket = rooms[self.idx].let_in(visitor);
        Ok(Pass {
            gate: self.clone(),
            ticket,
            visitor,
        })
    }

    /// Whether the disk is known to hang.
    pub(crate) fn hangs(&self) -> bool {
        self.gates.rooms.lock()[self.idx].hangs
    }

    /// Workers that are at the disk.
    pub(crate) fn n_inside(&self) -> usize {
        self.gates.rooms.lock()[self.idx].entered.len()
    }

    /// Whether somebody has been inside for `time`: what cannot be asked without doing harm to a
    /// disk at rest should be asked then.
    pub(crate) fn is_slow(&self, time: Duration) -> bool {
        let rooms = self.gates.rooms.lock();
        let oldest = rooms[self.idx].entered.first_key_value();
        oldest.is_some_and(|(_, since)| since.elapsed() >= time)
    }

    /// The probe asks the disk.
    pub(crate) fn ask(&self) {
        self.gates.rooms.lock()[self.idx].asked = Some(Instant::now());
    }

    /// The disk answered, in whatever way. Tells whether it was taken to hang.
    pub(crate) fn answered(&self) -> bool {
        let mut rooms = self.gates.rooms.lock();
        let room = &mut rooms[self.idx];
        room.asked = None;
        std::mem::take(&mut room.hangs)
    }

    /// Looks whether the disk has been asked and not answered in time. Tells whether that is news.
    pub(crate) fn watch(&self) -> bool {
        let mut rooms = self.gates.rooms.lock();
        let room = &mut rooms[self.idx];
        let late = room
            .asked
            .is_some_and(|at| at.elapsed() >= self.gates.patience);
        if !late || room.hangs {
            return false;
        }
        room.hangs = true;
        drop(rooms);
        // Who waits to be let in need not wait any more.
        for place in &self.gates.waiting[self.idx] {
            place.notify_all();
        }
        true
    }

    /// Closes a file without waiting for the disk: some file systems write on closing. What would
    /// have to wait is left to the thread in [`Gate::close_files`].
    fn close(&self, file: File) {
        if let Ok(_pass) = self.enter_now(WorkerPool::Slow) {
            drop(file);
            return;
        }
        let mut rooms = self.gates.rooms.lock();
        if rooms[self.idx].closing.len() < CLOSING_MAX {
            rooms[self.idx].closing.push(file);
            self.gates.to_close[self.idx].notify_one();
        }
    }

    /// Closes the files that nobody waits for as they come, so that a disk that is only busy does
    /// not collect descriptors. Returns after [`Gate::end`].
    pub(crate) fn close_files(&self) {
        let mut rooms = self.gates.rooms.lock();
        while !rooms[self.idx].ended {
            let files = std::mem::take(&mut rooms[self.idx].closing);
            if files.is_empty() {
                self.gates.to_close[self.idx].wait(&mut rooms);
            } else {
                MutexGuard::unlocked(&mut rooms, || drop(files));
            }
        }
    }

    /// Ends the thread that closes files.
    pub(crate) fn end(&self) {
        self.gates.rooms.lock()[self.idx].ended = true;
        self.gates.to_close[self.idx].notify_all();
    }
}

impl Room {
    fn let_in(&mut self, visitor: Visitor) -> u64 {
        self.tickets += 1;
        self.entered.insert(self.tickets, Instant::now());
        if let Visitor::Worker(lane) = visitor {
            self.inside[index(lane)] += 1;
        }
        self.tickets
    }
}

impl Pass {
    /// The gate it is for.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let gates = &self.gate.gates;
        let mut rooms = gates.rooms.lock();
        let room = &mut rooms[self.gate.idx];
        room.entered.remove(&self.ticket);
        let Visitor::Worker(lane) = self.visitor else {
            return;
        };
        room.inside[index(lane)] -= 1;
        drop(rooms);
        for places in &gates.waiting {
            places[index(lane)].notify_one();
        }
    }
}

/// An open file behind a gate.
pub(crate) struct GatedFile {
    /// Absent when it is closed.
    file: Option<File>,
    gate: Gate,
}

impl GatedFile {
    pub(crate) fn new(file: File, gate: Gate) -> GatedFile {
        GatedFile {
            file: Some(file),
            gate,
        }
    }

    /// Lets a worker of the slow lane in.
    ///
    /// # Errors
    /// As [`Gate::enter`].
    pub(crate) fn enter(&self) -> io::Result<Pass> {
        self.gate.enter(Visitor::Worker(WorkerPool::Slow))
    }

    /// The same if that takes no waiting.
    ///
    /// # Errors
    /// As [`Gate::enter`].
    pub(crate) fn enter_now(&self) -> io::Result<Pass> {
        self.gate.enter_now(WorkerPool::Slow)
    }

    /// The file; only for those inside, and not after [`GatedFile::close`].
    pub(crate) fn file(&self) -> &File {
        self.file.as_ref().expect("nobody has closed it")
    }

    /// Closes the file and tells what the file system says to that; only for those inside.
    ///
    /// # Errors
    /// What was written may be lost. The file is closed nevertheless.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some(file) => Ok(nix::unistd::close(file)?),
            None => Ok(()),
        }
    }
}

impl net::OpenFile for GatedFile {
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()> {
        let _pass = self.enter()?;
        act(self.file());
        Ok(())
    }
}

impl Drop for GatedFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.gate.close(file);
        }
    }
}

#[cfg(test)]
mod tests;
