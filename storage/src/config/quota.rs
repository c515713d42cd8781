//! Limits on the files of users and applications.

use base::config::ConfigError;
use base::units::ByteSize;
use proto::{AppId, UserId};
use serde::{Deserialize, Serialize};

/// The user of a quota that holds for each user without a quota of its own.
const EACH_USER: &str = "*";

/// A limit on files of this storage's group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The application.
    pub app: AppId,
    /// A user, or `*` for each one alone. Absent for all users of the application together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Most bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
    /// Most files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

impl Quota {
    /// True if it holds for this user by name.
    pub(crate) fn is_of(&self, user: &UserId) -> bool {
        self.user.as_ref() == Some(user)
    }

    /// True if it holds for each user alone.
    pub(crate) fn is_of_each_user(&self) -> bool {
        self.user
            .as_ref()
            .is_some_and(|user| user.as_str() == EACH_USER)
    }
}

/// # Errors
/// A quota limits nothing, or two are for the same files.
pub(super) fn check(quotas: &[Quota]) -> Result<(), ConfigError> {
    for (idx, quota) in quotas.iter().enumerate() {
        let Quota { app, user, .. } = quota;
        let of = user
            .as_ref()
            .map_or_else(|| app.to_string(), |user| format!("{app}/{user}"));
        if quota.bytes.is_none() && quota.files.is_none() {
            let reason = format!("the one of {of} has neither bytes nor files");
            return Err(ConfigError::invalid("quotas", reason));
        }
        let is_same = |other: &Quota| other.app == *app && other.user == *user;
        if quotas[..idx].iter().any(is_same) {
            return Err(ConfigError::invalid(
                "quotas",
                format!("{of} stands there twice"),
            ));
        }
    }
    Ok(())
}
