//! Small things that several crates share and that know none of them: the ground floor beside
//! `proto`. A module stands here only while two crates use it.
//!
//! It owns no state but the lookups in progress of [`resolve`], whose number is limited for the whole
//! process. It starts threads for others ([`thread::spawn`], [`Ticker`]) and one for each name that is
//! looked up; all else runs on the threads of its callers.
//!
//! In reading order: [`Stop`], which ends every wait; [`thread`] and [`Ticker`], which run work until
//! then; [`units`], [`config`], [`Network`], [`toml_error()`] and [`secret`] of settings; [`LogThrottle`] and
//! [`Escaped`] of logs; [`ExpiringMap`]; [`folders`] that survive a power cut; [`link_check`] of open files;
//! [`check_peer_user`] of Unix sockets; [`resolve`].

pub mod config;
mod escaped;
mod expiring_map;
pub mod folders;
pub mod link_check;
mod log_throttle;
mod network;
mod peer_user;
pub mod resolve;
pub mod secret;
mod stop;
pub mod thread;
mod ticker;
mod toml_error;
pub mod units;

pub use escaped::Escaped;
pub use expiring_map::ExpiringMap;
pub use log_throttle::LogThrottle;
pub use network::Network;
pub use peer_user::check_peer_user;
pub use stop::Stop;
pub use ticker::Ticker;
pub use toml_error::toml_error;
