//! The codec against recorded frames, round trips and damaged bytes.

#![allow(clippy::unwrap_used, missing_docs)]

mod golden;
mod properties;
mod reports;
