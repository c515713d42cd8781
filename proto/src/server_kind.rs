//! The three kinds of servers that speak the wire protocol.

/// A kind of server. Each has a range of commands, and a command byte for its replies (docs/protocol.md, Frame).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// A tracker: commands 10 to 39.
    Tracker,
    /// An idserver: commands 40 to 69.
    Idserver,
    /// A storage: commands 70 to 99.
    Storage,
}

impl ServerKind {
    /// The name in logs and in proofs of a key.
    pub fn name(self) -> &'static str {
        match self {
            ServerKind::Tracker => "tracker",
            ServerKind::Idserver => "idserver",
            ServerKind::Storage => "storage",
        }
    }

    /// The kind of server that a command is for.
    pub fn of_command(command: u8) -> Option<ServerKind> {
        match command {
            10..=39 => Some(ServerKind::Tracker),
            40..=69 => Some(ServerKind::Idserver),
            70..=99 => Some(ServerKind::Storage),
            _ => None,
        }
    }

    /// The command byte of every reply.
    pub fn reply(self) -> u8 {
        match self {
            ServerKind::Tracker => 100,
            ServerKind::Idserver => 101,
            ServerKind::Storage => 102,
        }
    }

    /// The command that begins the proof of a key. C++ servers refuse it.
    pub fn authenticate(self) -> u8 {
        match self {
            ServerKind::Tracker => 21,
            ServerKind::Idserver => 43,
            ServerKind::Storage => 78,
        }
    }

    /// The command that ends the proof of a key. C++ servers refuse it.
    pub fn prove(self) -> u8 {
        self.authenticate() + 1
    }

    /// The commands of the proof of a key with their names, as in [`Request::COMMANDS`](crate::Request::COMMANDS).
    pub fn proof_commands(self) -> [(u8, &'static str); 2] {
        [
            (self.authenticate(), "authenticate"),
            (self.prove(), "prove"),
        ]
    }
}
