//! How a storage is: what it tells every tracker with its beats, in the words of FastDFS's monitor
//! where the thing is the same.
//!
//! On the wire JSON text with a NUL, in which a later version may add fields that an earlier one
//! passes over. Both sides keep the bounds: [`Report::bounded`].

use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::field::Fields;

/// Longest text of a report, in bytes with its NUL.
pub const REPORT_TEXT_MAX: usize = 7 << 10;
/// Most store paths in a report; [`Report::space`] is of all.
pub const REPORT_PATHS_MAX: usize = 16;
/// Most errors in a report.
pub const REPORT_ERRORS_MAX: usize = 4;
/// Most warnings in a report.
pub const REPORT_WARNINGS_MAX: usize = 8;
/// Most idservers in a report.
pub const REPORT_IDSERVERS_MAX: usize = 8;
/// Longest text of any kind in a report, in bytes.
pub const REPORT_WORDS_MAX: usize = 160;

/// How a storage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Whether uploads have a chance: a store path takes them, rows can be written and numbers can
    /// be had. Clients are sent to others first when not.
    pub uploads: bool,
    /// Whether downloads have a chance: clients are sent elsewhere when not. An earlier version
    /// does not tell, and serves them.
    pub downloads: bool,
    /// Why uploads have no chance; empty when they have, or of an earlier version.
    pub uploads_why: String,
    /// Why downloads have no chance; empty when they have, or of an earlier version.
    pub downloads_why: String,
    /// Whether an administrator takes it out of service.
    pub drain: Drain,
    /// Its whole version; JOIN has room for six bytes only.
    pub version: String,
    /// When its process started, seconds since the epoch.
    pub up_since: i64,
    /// The storage's clock, seconds since the epoch; 0 where an earlier version does not tell.
    pub time: i64,
    /// All store paths together.
    pub space: Space,
    /// The store paths, in the order of its configuration; at most [`REPORT_PATHS_MAX`].
    pub paths: Vec<StorePath>,
    /// What it did since it started.
    pub counters: Counters,
    /// What went wrong last, the latest first; at most [`REPORT_ERRORS_MAX`].
    pub errors: Vec<LastError>,
    /// What an operator should look after although the storage serves, one text for each thing; at
    /// most [`REPORT_WARNINGS_MAX`].
    pub warnings: Vec<String>,
    /// The idservers that the storage asks for numbers; at most [`REPORT_IDSERVERS_MAX`].
    pub idservers: Vec<Idserver>,
}

/// An idserver as a storage last found it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Idserver {
    /// As configured.
    pub address: String,
    /// Why it gives no numbers; empty when it does.
    pub why: String,
}

/// How far a storage is taken out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// Not at all.
    #[default]
    None,
    /// No client is sent there any more.
    All,
    /// It takes no uploads. What a later version may call else is taken for this.
    #[serde(other)]
    Uploads,
}

/// Room on disks, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// Size of the file systems.
    pub total: u64,
    /// What is free of that.
    pub free: u64,
    /// What is to be left free.
    pub reserved: u64,
    /// What uploads may take.
    pub available: u64,
}

/// One folder that holds files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StorePath {
    /// As configured.
    pub path: String,
    /// Room on it.
    pub space: Space,
    /// `writable`, or what it is instead.
    pub health: String,
    /// Why it is not writable, or what is wrong with its volume though it is.
    pub why: String,
}

/// Totals since the storage started, of requests that are over. Bytes are those of content: of
/// uploads that succeeded, and what downloads sent, also when they were cut.
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
    /// Most connections at a time that it takes.
    pub connection_alloc_count: u64,
    pub connection_current_count: u64,
    /// Most connections at a time that it had.
    pub connection_max_count: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastError {
    /// When, seconds since the epoch.
    pub time: i64,
    /// What.
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
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Drain::None => "none",
            Drain::Uploads => "uploads",
            Drain::All => "all",
        }
    }
}

impl Counters {
    /// Each with the name that FastDFS has for it, or one of ours in its manner.
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
    /// Both together.
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
    /// The same with no list and no text beyond its bound, and without control characters.
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
            .for_each(bound);
        self.paths.shrink_to_fit();
        self.errors.shrink_to_fit();
        self.warnings.shrink_to_fit();
        self.idservers.shrink_to_fit();
        self
    }

    /// Appends the text. What does not fit is left out: errors first, then the last paths,
    /// idservers and warnings.
    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        let mut report = self.clone().bounded();
        loop {
            let text = serde_json::to_vec(&report).expect("a report is JSON");
            let fits = text.len() < REPORT_TEXT_MAX;
            if fits || !report.shorten() {
                body.extend_from_slice(&text);
                body.push(0);
                return;
            }
        }
    }

    /// Drops the least of it. Tells whether there was anything to drop.
    fn shorten(&mut self) -> bool {
        self.errors.pop().is_some()
            || self.paths.pop().is_some()
            || self.idservers.pop().is_some()
            || self.warnings.pop().is_some()
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Result<Report, DecodeError> {
        let rest = fields.rest();
        let report: Report = json(Fields::new(rest).text("report", rest.len())?, "report")?;
        Ok(report.bounded())
    }
}

/// A value from JSON text that came over the wire.
pub(crate) fn json<T: for<'a> Deserialize<'a>>(
    text: &str,
    field: &'static str,
) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| {
        let mut reason = error.to_string();
        bound(&mut reason);
        DecodeError::Json { field, reason }
    })
}

/// Cuts a text at its bound; what could break a line or a terminal becomes a blank.
pub(crate) fn bound(text: &mut String) {
    text.truncate(text.floor_char_boundary(REPORT_WORDS_MAX));
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
    text.shrink_to_fit();
}
