//! Changes from root to the configured user, permanently.

use std::ffi::CString;

use anyhow::{Context, ensure};
use base::config::ConfigError;
use nix::unistd::{Gid, Group, Uid, User, initgroups, setgid, setuid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The user to become.
#[derive(Debug)]
pub(crate) struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Identity {
    /// Looks up user and group by name; the default group is that of the user.
    pub(super) fn find(user: &str, group: Option<&str>) -> Result<Identity, ConfigError> {
        let entry = User::from_name(user)
            .map_err(|e| unknown("process.user", user, &e.to_string()))?
            .ok_or_else(|| unknown("process.user", user, "this system has no user of that name"))?;
        let gid = match group {
            None => entry.gid,
            Some(name) => {
                Group::from_name(name)
                    .map_err(|e| unknown("process.group", name, &e.to_string()))?
                    .ok_or_else(|| {
                        unknown(
                            "process.group",
                            name,
                            "this system has no group of that name",
                        )
                    })?
                    .gid
            }
        };
        Ok(Identity {
            name: entry.name,
            uid: entry.uid,
            gid,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Changes user, group and supplementary groups of the process. Of the rights of root keeps the right to
    /// bind ports below 1024, if present.
    pub(super) fn apply(&self) -> anyhow::Result<()> {
        let now = Uid::effective();
        if now == self.uid {
            return Ok(());
        }
        ensure!(
            now.is_root(),
            "only root can, and this runs as user number {now}"
        );
        let name = CString::new(self.name.as_str())?;
        initgroups(&name, self.gid).context("cannot set the groups")?;
        setgid(self.gid).context("cannot set the group")?;
        let bind = CapabilitySet::NET_BIND_SERVICE;
        let kept = rustix::thread::capabilities(None)?.permitted & bind;
        rustix::thread::set_keep_capabilities(true)?;
        setuid(self.uid).context("cannot set the user")?;
        rustix::thread::set_keep_capabilities(false)?;
        rustix::thread::set_capabilities(None, only(kept))
            .context("cannot give up the rights of root")?;
        Ok(())
    }
}

fn only(kept: CapabilitySet) -> CapabilitySets {
    CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    }
}

fn unknown(key: &str, name: &str, why: &str) -> ConfigError {
    ConfigError::invalid(key, format!("{name:?}: {why}"))
}
