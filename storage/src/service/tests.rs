//! Each command against a store in a folder; the idserver is a thread that counts.
