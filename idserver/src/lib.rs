//! idserver
