//! The path of a file, from the idserver's number and the time of the upload.

/// Numbers whose paths are in one folder: n to n + 511, with n a multiple of 512.
pub const FILES_PER_FOLDER: u64 = 512;

/// A path of the form `<store path>/d3/d2/d1/T_d0` (docs/protocol.md, The storage path): the digits are
/// the number's four lowest base-512 digits as three upper-case hex digits, T is `epoch_secs` in
/// upper-case hex.
pub fn storage_path(store_path: &str, number: u64, epoch_secs: u64) -> String {
    let digit = |position: u32| (number >> (9 * position)) & 0x1ff;
    format!(
        "{store_path}/{:03X}/{:03X}/{:03X}/{epoch_secs:X}_{:03X}",
        digit(3),
        digit(2),
        digit(1),
        digit(0)
    )
}
