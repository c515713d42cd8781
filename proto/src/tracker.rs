//! The tracker's requests and replies.

use std::fmt;

use crate::admin::{Signed, order_len};
use crate::field::{Fields, put_i64, put_text};
use crate::head::frame;
use crate::hello::{HELLO_TEXT_MAX, Hello};
use crate::report::{REPORT_TEXT_MAX, Report};
use crate::request::{body_length, decode_key_of_user, encode_key, exactly};
use crate::{
    AccessFields, Address, AppId, DecodeError, FILE_KEY_LEN, FileId, GroupName, Head, Hostname,
    Permission, Request, ServerKind, UserId, Version,
};

/// Command byte of every reply of a tracker.
pub const REPLY: u8 = 100;
/// A storage becomes a member of its group.
pub const JOIN: u8 = 10;
/// The sign of life of a member.
pub const BEAT: u8 = 11;
/// The storages of a user.
pub const SADDRS: u8 = 12;
/// The list of groups and members.
pub const GROUPS: u8 = 13;
/// Removes the member that joined on the connection. C++ trackers refuse it.
pub const LEAVE: u8 = 14;
/// The report of the member that joined on the connection. C++ trackers refuse it.
pub const REPORT: u8 = 15;
/// The state of the cluster. C++ trackers refuse it.
pub const CLUSTER: u8 = 16;
/// The identity of a storage, before it joins on the same connection. C++ trackers refuse it.
pub const HELLO: u8 = 17;
/// A nonce for the next order on this connection. C++ trackers refuse it.
pub const CHALLENGE: u8 = 18;
/// An order of an administrator. C++ trackers refuse it.
pub const ADMIN: u8 = 19;
/// The storages of a user who has a group; unlike SADDRS it binds no user to a group. C++ trackers refuse it.
pub const LOOKUP: u8 = 20;

/// Most addresses in the reply to SADDRS and LOOKUP.
pub const ADDRESSES_MAX: usize = 3;
/// Longest body of a SADDRS reply that is read, in bytes: a group and host names.
pub const SADDRS_REPLY_MAX: usize = 4096;
/// Longest body of a GROUPS reply that is read, in bytes: some 100,000 members.
pub const GROUPS_REPLY_MAX: usize = 64 << 20;

const VERSION_LEN: usize = 6 + 1;
const GROUP_LEN: usize = 16 + 1;
const HOSTNAME_LEN: usize = 128 + 1;
const BEAT_LEN: usize = GROUP_LEN + HOSTNAME_LEN;
const JOIN_LEN: usize = VERSION_LEN + BEAT_LEN + 2 + 8 + 8;

/// A request to a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackerRequest {
    /// A storage becomes a member.
    Join(Join),
    /// A member sends its sign of life.
    Beat(Member),
    /// The storages of a user; a user without a group is bound to one.
    Saddrs(Saddrs),
    /// The storages of a user; a user without a group is not found.
    Lookup(Saddrs),
    /// The list of groups and members.
    Groups,
    /// A member leaves.
    Leave(Member),
    /// The report of a member.
    Report(Member, Box<Report>),
    /// The state of the cluster.
    Cluster,
    /// The identity of a storage that will join.
    Hello(Box<Hello>),
    /// Asks for a nonce.
    Challenge,
    /// An order of an administrator.
    Admin(Box<Signed>),
}

/// The JOIN of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Its version.
    pub version: Version,
    /// Its group and host.
    pub member: Member,
    /// The port it listens on; the address is the connection's.
    pub port: u16,
    /// When it started, seconds since the epoch.
    pub start_time: i64,
    /// When it joined, seconds since the epoch.
    pub join_time: i64,
}

/// The name of a member. A host may run several storages, so the name is not unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The group it belongs to.
    pub group: GroupName,
    /// The host it runs on.
    pub hostname: Hostname,
}

/// A request for the storages of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saddrs {
    /// The application.
    pub app: AppId,
    /// The user within it.
    pub user: UserId,
    /// The file, which routing ignores.
    pub file: Option<FileId>,
}

impl TrackerRequest {
    /// The request as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let command = match self {
            TrackerRequest::Join(join) => {
                put_text(&mut body, join.version.as_str(), VERSION_LEN);
                join.member.encode(&mut body);
                body.extend_from_slice(&join.port.to_be_bytes());
                put_i64(&mut body, join.start_time);
                put_i64(&mut body, join.join_time);
                JOIN
            }
            TrackerRequest::Beat(member) => {
                member.encode(&mut body);
                BEAT
            }
            TrackerRequest::Saddrs(saddrs) => {
                saddrs.encode(&mut body);
                SADDRS
            }
            TrackerRequest::Lookup(saddrs) => {
                saddrs.encode(&mut body);
                LOOKUP
            }
            TrackerRequest::Groups => GROUPS,
            TrackerRequest::Leave(member) => {
                member.encode(&mut body);
                LEAVE
            }
            TrackerRequest::Report(member, report) => {
                member.encode(&mut body);
                report.encode(&mut body);
                REPORT
            }
            TrackerRequest::Cluster => CLUSTER,
            TrackerRequest::Hello(hello) => {
                hello.encode(&mut body);
                HELLO
            }
            TrackerRequest::Challenge => CHALLENGE,
            TrackerRequest::Admin(signed) => {
                signed.encode(&mut body);
                ADMIN
            }
        };
        frame(command, &body)
    }
}

impl Request for TrackerRequest {
    const SERVER: ServerKind = ServerKind::Tracker;
    const COMMANDS: &'static [(u8, &'static str)] = &[
        (JOIN, "join"),
        (BEAT, "beat"),
        (SADDRS, "saddrs"),
        (GROUPS, "groups"),
        (LEAVE, "leave"),
        (REPORT, "report"),
        (CLUSTER, "cluster"),
        (HELLO, "hello"),
        (CHALLENGE, "challenge"),
        (ADMIN, "admin"),
        (LOOKUP, "lookup"),
    ];

    fn permission(&self) -> Permission<'_> {
        match self {
            TrackerRequest::Saddrs(saddrs) | TrackerRequest::Lookup(saddrs) => {
                Permission::App(&saddrs.app)
            }
            TrackerRequest::Groups | TrackerRequest::Challenge | TrackerRequest::Admin(_) => {
                Permission::AnyKey
            }
            TrackerRequest::Join(_)
            | TrackerRequest::Beat(_)
            | TrackerRequest::Leave(_)
            | TrackerRequest::Report(..)
            | TrackerRequest::Hello(_)
            | TrackerRequest::Cluster => Permission::Node,
        }
    }

    fn access_fields(&self) -> AccessFields<'_> {
        let of = |command, member: &Member| AccessFields::thing(command, member.to_string());
        let none = |command| AccessFields {
            file: None,
            ..AccessFields::thing(command, "")
        };
        match self {
            TrackerRequest::Join(join) => of("join", &join.member),
            TrackerRequest::Beat(member) => of("beat", member),
            TrackerRequest::Leave(member) => of("leave", member),
            TrackerRequest::Report(member, _) => of("report", member),
            TrackerRequest::Groups => none("groups"),
            TrackerRequest::Cluster => none("cluster"),
            TrackerRequest::Hello(hello) => {
                AccessFields::thing("hello", hello.node.digest().to_string())
            }
            TrackerRequest::Challenge => none("challenge"),
            TrackerRequest::Admin(signed) => AccessFields::thing("admin", signed.name()),
            TrackerRequest::Saddrs(saddrs) => saddrs.access_fields("saddrs"),
            TrackerRequest::Lookup(saddrs) => saddrs.access_fields("lookup"),
        }
    }

    fn fixed_len(head: &Head) -> Result<usize, DecodeError> {
        match head.command {
            JOIN => exactly(head, JOIN_LEN, "171"),
            BEAT | LEAVE => exactly(head, BEAT_LEN, "146"),
            SADDRS | LOOKUP => exactly(head, FILE_KEY_LEN, "400"),
            HELLO => match usize::try_from(head.body_len) {
                Ok(len) if (1..=HELLO_TEXT_MAX).contains(&len) => Ok(len),
                _ => Err(body_length(head, "1 to 1024")),
            },
            ADMIN => order_len(head),
            GROUPS | CLUSTER | CHALLENGE => exactly(head, 0, "0"),
            REPORT => match usize::try_from(head.body_len) {
                Ok(len) if (BEAT_LEN + 1..=BEAT_LEN + REPORT_TEXT_MAX).contains(&len) => Ok(len),
                _ => Err(body_length(head, "147 to 7314")),
            },
            other => Err(DecodeError::UnknownCommand(other)),
        }
    }

    fn decode(head: &Head, fixed: &[u8]) -> Result<TrackerRequest, DecodeError> {
        let mut fields = Fields::new(fixed);
        Ok(match head.command {
            JOIN => TrackerRequest::Join(Join::decode(&mut fields)?),
            BEAT => TrackerRequest::Beat(Member::decode(&mut fields)?),
            SADDRS => TrackerRequest::Saddrs(Saddrs::decode(&mut fields)?),
            LOOKUP => TrackerRequest::Lookup(Saddrs::decode(&mut fields)?),
            GROUPS => TrackerRequest::Groups,
            LEAVE => TrackerRequest::Leave(Member::decode(&mut fields)?),
            REPORT => {
                let member = Member::decode(&mut fields)?;
                TrackerRequest::Report(member, Box::new(Report::decode(fields)?))
            }
            CLUSTER => TrackerRequest::Cluster,
            CHALLENGE => TrackerRequest::Challenge,
            ADMIN => TrackerRequest::Admin(Box::new(Signed::decode(fixed)?)),
            HELLO => TrackerRequest::Hello(Box::new(Hello::decode(fixed)?)),
            other => return Err(DecodeError::UnknownCommand(other)),
        })
    }
}

impl Join {
    fn decode(fields: &mut Fields<'_>) -> Result<Join, DecodeError> {
        Ok(Join {
            version: Version::new(fields.text("version", VERSION_LEN)?)?,
            member: Member::decode(fields)?,
            port: fields.u16("port")?,
            start_time: fields.i64("start time")?,
            join_time: fields.i64("join time")?,
        })
    }
}

impl Member {
    fn decode(fields: &mut Fields<'_>) -> Result<Member, DecodeError> {
        Ok(Member {
            group: GroupName::new(fields.text("group name", GROUP_LEN)?)?,
            hostname: Hostname::new(fields.text("hostname", HOSTNAME_LEN)?)?,
        })
    }

    fn encode(&self, body: &mut Vec<u8>) {
        put_text(body, self.group.as_str(), GROUP_LEN);
        put_text(body, self.hostname.as_str(), HOSTNAME_LEN);
    }
}

/// `group/host`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.hostname)
    }
}

impl Saddrs {
    fn decode(fields: &mut Fields<'_>) -> Result<Saddrs, DecodeError> {
        let (app, user, file) = decode_key_of_user(fields)?;
        Ok(Saddrs { app, user, file })
    }

    fn encode(&self, body: &mut Vec<u8>) {
        let file = self.file.as_ref().map_or("", FileId::as_str);
        encode_key(body, &self.app, &self.user, file);
    }

    fn access_fields(&self, command: &'static str) -> AccessFields<'_> {
        AccessFields {
            command,
            app: Some(&self.app),
            user: Some(&self.user),
            file: self.file.as_ref().map(|file| file.as_str().into()),
        }
    }
}

/// Reply to SADDRS and LOOKUP: the user's group and up to [`ADDRESSES_MAX`] of its active storages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaddrsReply {
    /// The group the user is bound to.
    pub group: GroupName,
    /// The addresses in the order to try them.
    pub addresses: Vec<Address>,
}

impl SaddrsReply {
    /// The body of the reply: `group 16+1`, then `ip:port;ip:port;` and a NUL.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(GROUP_LEN + 24 * self.addresses.len() + 1);
        put_text(&mut body, self.group.as_str(), GROUP_LEN);
        for address in &self.addresses {
            body.extend_from_slice(address.as_str().as_bytes());
            body.push(b';');
        }
        body.push(0);
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A field without its NUL, or an item that is no address.
    pub fn decode(body: &[u8]) -> Result<SaddrsReply, DecodeError> {
        let mut fields = Fields::new(body);
        let group = GroupName::new(fields.text("group name", GROUP_LEN)?)?;
        let rest = fields.rest();
        let list = Fields::new(rest).text("address list", rest.len())?;
        Ok(SaddrsReply {
            group,
            addresses: Address::parse_list(list)?,
        })
    }
}
