//! The report that a storage sends to every tracker with its beats. Counters have the names of FastDFS's
//! monitor where it has the same.
//!
//! JSON text with a NUL. Later versions may add fields, which earlier ones ignore. Both sides apply
//! [`Report::bounded`].

use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::field::{Fields, bound};
use crate::json::{decode_json, encode_json};

/// Longest text of a report, in bytes with its NUL.
pub const REPORT_TEXT_MAX: usize = 7 << 10;
/// Most store paths in a report; [`Report::space`] covers all.
pub const REPORT_PATHS_MAX: usize = 16;
/// Most errors in a report.
pub const REPORT_ERRORS_MAX: usize = 4;
/// Most warnings in a report.
pub const REPORT_WARNINGS_MAX: usize = 8;
/// Most idservers in a report.
pub const REPORT_IDSERVERS_MAX: usize = 8;
/// Longest text of any kind in a report, in bytes.
pub const REPORT_WORDS_MAX: usize = 160;

/// The state of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// True when uploads can succeed: a store path takes them, rows can be written, an idserver gives numbers.
    /// Otherwise clients are sent to other storages first.
    pub uploads: bool,
    /// True when downloads can succeed. Otherwise clients are sent to other storages. Absent from an earlier
    /// version, which serves them.
    pub downloads: bool,
    /// Why uploads cannot succeed; empty otherwise and from an earlier version.
    pub uploads_why: String,
    /// Why downloads cannot succeed; empty otherwise and from an earlier version.
    pub downloads_why: String,
    /// How far an administrator has taken it out of service.
    pub drain: Drain,
    /// Its whole version; a JOIN has six bytes of it.
    pub version: String,
    /// When its process started, seconds since the epoch.
    pub up_since: i64,
    /// The storage's clock, seconds since the epoch; 0 from an earlier version.
    pub time: i64,
    /// All store paths together.
    pub space: Space,
    /// The store paths, in the order of its configuration; at most [`REPORT_PATHS_MAX`].
    pub paths: Vec<StorePath>,
    /// Totals since it started.
    pub counters: Counters,
    /// Its latest errors, latest first; at most [`REPORT_ERRORS_MAX`].
    pub errors: Vec<ReportedError>,
    /// Conditions that need an operator though the storage serves; at most [`REPORT_WARNINGS_MAX`].
    pub warnings: Vec<String>,
    /// The idservers that the storage asks for numbers; at most [`REPORT_IDSERVERS_MAX`].
    pub idservers: Vec<Idserver>,
}

/// The latest result of a storage's requests to an idserver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Idserver {
    /// Its address as configured.
    pub address: String,
    /// Why it gives no numbers; empty when it gives some.
    pub why: String,
}

/// How far a storage is out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// Not at all.
    #[default]
    None,
    /// No client is sent there any more.
    All,
    /// It takes no uploads. Levels of later versions decode as this one.
    #[serde(other)]
    Uploads,
}

/// Room on disks, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// Size of the file systems.
    pub total: u64,
    /// Free bytes of `total`.
    pub free: u64,
    /// Bytes to leave free.
    pub reserved: u64,
    /// Bytes that uploads may use.
    pub available: u64,
}

/// A folder with files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StorePath {
    /// Its path as configured.
    pub path: String,
    /// Its space.
    pub space: Space,
    /// `writable`, or another state.
    pub health: String,
    /// Why it is not writable, or a fault of its volume while it is.
    pub why: String,
}

/// Totals of finished requests since the storage started. Bytes are bytes of content: of uploads that
/// succeeded, and of what downloads sent, even if the client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Counters {
    pub total_upload_count: u64,
    pub success_upload_count: u64,
    pub total_upload_bytes: u64,
    pub success_upload_bytes: u64,
    pub total_download_count: u64,
    pub success_download_count: u64,
    pub total_download_bytes: u64,
    pub success_download_bytes: u64,
    pub total_delete_count: u64,
    pub success_delete_count: u64,
    /// Sizes and stats.
    pub total_stat_count: u64,
    pub success_stat_count: u64,
    /// Limit on connections.
    pub connection_alloc_count: u64,
    pub connection_current_count: u64,
    /// Most connections at a time so far.
    pub connection_max_count: u64,
}

/// An error of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportedError {
    /// Seconds since the epoch.
    pub time: i64,
    /// The message.
    pub text: String,
}

impl Default for Report {
    fn default() -> Report {
        Report {
            uploads: true,
            downloads: true,
            uploads_why: String::new(),
            downloads_why: String::new(),
            drain: Drain::None,
            version: String::new(),
            up_since: 0,
            time: 0,
            space: Space::default(),
            paths: Vec::new(),
            counters: Counters::default(),
            errors: Vec::new(),
            warnings: Vec::new(),
            idservers: Vec::new(),
        }
    }
}

impl Drain {
    /// Its name on the wire and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Drain::None => "none",
            Drain::Uploads => "uploads",
            Drain::All => "all",
        }
    }
}

impl Counters {
    /// The counters with their FastDFS names; those that FastDFS lacks have names in its style.
    pub fn named(&self) -> [(&'static str, u64); 15] {
        [
            ("connection.alloc_count", self.connection_alloc_count),
            ("connection.current_count", self.connection_current_count),
            ("connection.max_count", self.connection_max_count),
            ("total_upload_count", self.total_upload_count),
            ("success_upload_count", self.success_upload_count),
            ("total_delete_count", self.total_delete_count),
            ("success_delete_count", self.success_delete_count),
            ("total_download_count", self.total_download_count),
            ("success_download_count", self.success_download_count),
            ("total_stat_count", self.total_stat_count),
            ("success_stat_count", self.success_stat_count),
            ("total_upload_bytes", self.total_upload_bytes),
            ("success_upload_bytes", self.success_upload_bytes),
            ("total_download_bytes", self.total_download_bytes),
            ("success_download_bytes", self.success_download_bytes),
        ]
    }
}

impl Space {
    /// The sum of both.
    pub fn plus(self, other: Space) -> Space {
        Space {
            total: self.total.saturating_add(other.total),
            free: self.free.saturating_add(other.free),
            reserved: self.reserved.saturating_add(other.reserved),
            available: self.available.saturating_add(other.available),
        }
    }
}

impl Report {
    /// Cuts lists and texts at their bounds, and replaces control characters by blanks.
    pub fn bounded(mut self) -> Report {
        self.paths.truncate(REPORT_PATHS_MAX);
        self.errors.truncate(REPORT_ERRORS_MAX);
        self.warnings.truncate(REPORT_WARNINGS_MAX);
        self.idservers.truncate(REPORT_IDSERVERS_MAX);
        let of_paths = self
            .paths
            .iter_mut()
            .flat_map(|path| [&mut path.path, &mut path.health, &mut path.why]);
        let of_errors = self.errors.iter_mut().map(|error| &mut error.text);
        let of_idservers = self
            .idservers
            .iter_mut()
            .flat_map(|idserver| [&mut idserver.address, &mut idserver.why]);
        let single = [
            &mut self.version,
            &mut self.uploads_why,
            &mut self.downloads_why,
        ];
        of_paths
            .chain(of_errors)
            .chain(&mut self.warnings)
            .chain(of_idservers)
            .chain(single)
            .for_each(|text| bound(text, REPORT_WORDS_MAX));
        self.paths.shrink_to_fit();
        self.errors.shrink_to_fit();
        self.warnings.shrink_to_fit();
        self.idservers.shrink_to_fit();
        self
    }

    /// Appends the text. A report that is too long loses errors first, then paths, idservers and warnings.
    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        let mut report = self.clone().bounded();
        loop {
            let text = encode_json(&report);
            if text.len() <= REPORT_TEXT_MAX || !report.shorten() {
                body.extend_from_slice(&text);
                return;
            }
        }
    }

    /// Removes the least important item. Returns false when there is none.
    fn shorten(&mut self) -> bool {
        self.errors.pop().is_some()
            || self.paths.pop().is_some()
            || self.idservers.pop().is_some()
            || self.warnings.pop().is_some()
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Result<Report, DecodeError> {
        let report: Report = decode_json(fields.rest(), "report")?;
        Ok(report.bounded())
    }
}
