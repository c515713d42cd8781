//! One thread of a measurement: picks an operation, executes it and measures its latency.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use client::{Connection, ConnectionConfig};
use proto::idserver::IdRequest;
use proto::tracker::{self, Saddrs, SaddrsReply, TrackerRequest};
use proto::{Address, idserver};

use crate::content::next_random;
use crate::failure::{self, WRONG_BYTES};
use crate::files::{FilePool, Stored};
use crate::http::{HttpClient, Part};
use crate::mix::{Mix, Operation};
use crate::{BUFFER_LEN, Failure, Meter, OperationResult, Worker};

/// Limit on the stored files of a thread. At the limit the oldest one is removed.
const OWN_MAX: usize = 100_000;

/// The task of all threads.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) mix: Mix,
    /// Sizes of files to store; not empty.
    pub(crate) sizes: Vec<u64>,
    pub(crate) range_len: u64,
    /// Files to read; not empty if the mix reads.
    pub(crate) files: Vec<Stored>,
    pub(crate) connection: ConnectionConfig,
    pub(crate) id_request: IdRequest,
}

/// The servers that a thread asks on connections of its own.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) tracker: Address,
    pub(crate) idserver: Option<Address>,
    pub(crate) http: Option<HttpClient>,
}

/// One thread.
#[derive(Debug)]
pub(crate) struct BenchWorker {
    task: Arc<Task>,
    /// Absent without a user: then no operation needs it.
    pool: Option<FilePool>,
    tracker: ServerConnection,
    idserver: Option<ServerConnection>,
    http: Option<HttpClient>,
    last_number: Option<u64>,
    random: u64,
    buffer: Vec<u8>,
    /// The files that it stored, the oldest first.
    own: VecDeque<Stored>,
}

/// A thread's connection to one server, with its request.
#[derive(Debug)]
struct ServerConnection {
    address: Address,
    connection: Option<Connection>,
    request: Vec<u8>,
}

impl BenchWorker {
    pub(crate) fn new(
        task: Arc<Task>,
        pool: Option<FilePool>,
        peers: Peers,
        seed: u64,
    ) -> BenchWorker {
        let saddrs = pool.as_ref().map(|pool| {
            TrackerRequest::Saddrs(Saddrs {
                app: pool.app.clone(),
                user: pool.user.clone(),
                file: None,
            })
        });
        let saddrs = saddrs.map(|request| request.encode()).unwrap_or_default();
        let id_request = task.id_request.encode();
        BenchWorker {
            task,
            pool,
            tracker: ServerConnection::new(peers.tracker, saddrs),
            idserver: peers
                .idserver
                .map(|address| ServerConnection::new(address, id_request)),
            http: peers.http,
            last_number: None,
            random: seed,
            buffer: vec![0; BUFFER_LEN],
            own: VecDeque::new(),
        }
    }

    /// The files that it stored and did not remove.
    pub(crate) fn own(&self) -> &VecDeque<Stored> {
        &self.own
    }

    /// Reads its own files and compares them.
    pub(crate) fn read_back(&mut self) -> Vec<Failure> {
        let meter = Meter::default();
        let Some(pool) = &self.pool else {
            return Vec::new();
        };
        let read = |file| pool.read(file, None, &mut self.buffer, &meter).err();
        self.own.iter().filter_map(read).collect()
    }

    /// Removes its own files.
    pub(crate) fn remove(&mut self) -> Vec<Failure> {
        let Some(pool) = &self.pool else {
            return Vec::new();
        };
        let own = std::mem::take(&mut self.own);
        own.iter().filter_map(|f| pool.delete(f).err()).collect()
    }

    /// Stores a file.
    pub(crate) fn upload(&mut self, meter: &Meter) -> Result<(), Failure> {
        let seed = self.next_random();
        let size = self.random_index(self.task.sizes.len());
        let size = self.task.sizes[size];
        let stored = self.pool()?.upload(seed, size, meter)?;
        self.own.push_back(stored);
        Ok(())
    }

    fn pool(&self) -> Result<&FilePool, Failure> {
        let no_user = || failure::new("usage", "no user is given");
        self.pool.as_ref().ok_or_else(no_user)
    }

    fn next_random(&mut self) -> u64 {
        next_random(&mut self.random)
    }

    fn random_index(&mut self, len: usize) -> usize {
        (self.next_random() % len as u64) as usize
    }

    /// Executes an operation. Returns the end of its latency.
    fn execute(&mut self, operation: Operation, meter: &Meter) -> Result<Instant, Failure> {
        match operation {
            Operation::Upload => self.upload(meter)?,
            Operation::Delete => self.delete()?,
            Operation::List => self.pool()?.list()?,
            Operation::Saddrs => self.saddrs()?,
            Operation::Id => self.number()?,
            Operation::Download | Operation::Range | Operation::Stat => {
                self.read(operation, meter)?;
            }
            Operation::Http | Operation::HttpRange | Operation::HttpSeek => {
                return self.http_get(operation, meter);
            }
        }
        Ok(Instant::now())
    }

    fn delete(&mut self) -> Result<(), Failure> {
        match self.own.pop_front() {
            Some(file) => self.pool()?.delete(&file),
            None => Err(failure::new("usage", "nothing to delete")),
        }
    }

    fn read(&mut self, operation: Operation, meter: &Meter) -> Result<(), Failure> {
        let task = Arc::clone(&self.task);
        let file = &task.files[self.random_index(task.files.len())];
        if operation == Operation::Stat {
            return self.pool()?.stat(file);
        }
        let range = (operation == Operation::Range).then(|| self.random_range(file));
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = match self.pool() {
            Ok(pool) => pool.read(file, range, &mut buffer, meter),
            Err(failure) => Err(failure),
        };
        self.buffer = buffer;
        result
    }

    fn http_get(&mut self, operation: Operation, meter: &Meter) -> Result<Instant, Failure> {
        let task = Arc::clone(&self.task);
        let file = &task.files[self.random_index(task.files.len())];
        let (offset, len) = self.random_range(file);
        let part = match operation {
            // No range of an empty file can be asked for.
            _ if file.size == 0 => Part::Whole,
            Operation::HttpRange => Part::Range(offset, len),
            Operation::HttpSeek => Part::Seek(offset),
            _ => Part::Whole,
        };
        let Some(http) = &mut self.http else {
            return Err(failure::new("usage", "no HTTP server is given"));
        };
        let first_byte = http.get(&file.id, part, &file.content(), &mut self.buffer, meter)?;
        Ok(match operation {
            Operation::HttpSeek => first_byte,
            _ => Instant::now(),
        })
    }

    /// Offset and length of a random range.
    fn random_range(&mut self, file: &Stored) -> (u64, u64) {
        let len = self.task.range_len.min(file.size);
        let offset = self.next_random() % (file.size - len + 1);
        (offset, len)
    }

    fn saddrs(&mut self) -> Result<(), Failure> {
        let config = &self.task.connection;
        let max = tracker::SADDRS_REPLY_MAX;
        let body = self.tracker.call(config, tracker::REPLY, max)?;
        let reply = SaddrsReply::decode(&body)
            .map_err(|error| failure::new("protocol", error.to_string()))?;
        if reply.addresses.is_empty() {
            return Err(failure::new("unavailable", "no active storage is known"));
        }
        Ok(())
    }

    /// All numbers of a thread come from one server, so each is above the previous one.
    fn number(&mut self) -> Result<(), Failure> {
        let Some(idserver) = &mut self.idserver else {
            return Err(failure::new("usage", "no idserver is given"));
        };
        let body = idserver.call(&self.task.connection, idserver::REPLY, 8)?;
        let number = idserver::decode_id(&body)
            .map_err(|error| failure::new("protocol", error.to_string()))?;
        if let Some(last) = self.last_number.replace(number)
            && number <= last
        {
            let message = format!("number {number} came after {last}");
            return Err(failure::new(WRONG_BYTES, message));
        }
        Ok(())
    }

    /// Prepares an operation before its latency is measured: an upload at the limit of files removes one,
    /// and a delete without files becomes an upload.
    fn prepare(&mut self, operation: Operation) -> Operation {
        match operation {
            Operation::Delete if self.own.is_empty() => Operation::Upload,
            Operation::Upload if self.own.len() >= OWN_MAX => {
                // A file that remains is removed at the end, or reported.
                if let (Some(pool), Some(file)) = (&self.pool, self.own.pop_front())
                    && pool.delete(&file).is_err()
                {
                    self.own.push_back(file);
                }
                operation
            }
            operation => operation,
        }
    }
}

impl Worker for BenchWorker {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let random = self.next_random();
        let picked = self.task.mix.pick(random);
        let operation = self.prepare(picked);
        let begun = Instant::now();
        let result = self.execute(operation, meter);
        let until = *result.as_ref().unwrap_or(&begun);
        OperationResult {
            operation: operation as usize,
            took: until.duration_since(begun),
            failure: result.err(),
        }
    }
}

impl ServerConnection {
    fn new(address: Address, request: Vec<u8>) -> ServerConnection {
        ServerConnection {
            address,
            connection: None,
            request,
        }
    }

    fn call(
        &mut self,
        config: &ConnectionConfig,
        reply: u8,
        max: usize,
    ) -> Result<Vec<u8>, Failure> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(
                Connection::connect(&self.address, config).map_err(|error| failure::of(&error))?,
            ),
        };
        connection.call(&self.request, reply, max).map_err(|error| {
            self.connection
                .take_if(|connection| !connection.is_usable());
            failure::of(&error)
        })
    }
}
