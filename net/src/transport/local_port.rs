//! The Unix socket of a server, for processes on the same machine.
//!
//! The rest of the transport treats its connections as those of TCP: they are descriptors of stream sockets,
//! and options that only TCP has fail without effect.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use base::check_peer_user;

/// A Unix socket that listens. Its file is removed with it, unless another process has replaced the file.
#[derive(Debug)]
pub struct LocalPort {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl LocalPort {
    /// Listens at `path`. Replaces the socket of a process that has ended.
    ///
    /// # Errors
    /// A process listens there, the path is longer than 107 bytes (unix(7)), or the file cannot be created.
    pub fn bind(path: &Path) -> io::Result<LocalPort> {
        if is_abandoned(path) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let port = LocalPort {
            listener,
            path: path.to_owned(),
            file: file_at(path)?,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        port.listener.set_nonblocking(true)?;
        Ok(port)
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Accepts a connection of a process of the same user, or of root.
    ///
    /// # Errors
    /// None waits, or the process is of another user ([`ErrorKind::PermissionDenied`]).
    pub(super) fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept()?;
        check_peer_user(&stream)?;
        Ok(OwnedFd::from(stream).into())
    }
}

impl Drop for LocalPort {
    fn drop(&mut self) {
        if file_at(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode of the file at a path.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// True if there is a socket at which nobody listens.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |e: io::Error| e.kind() == ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_dead_process_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        // The standard library leaves the file, as a killed process does.
        drop(UnixListener::bind(&path).unwrap());
        let port = LocalPort::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = LocalPort::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        port.accept().unwrap();
        drop(port);
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_successor_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let port = LocalPort::bind(&path).unwrap();
        // The inode of the first socket stays in use, so the second one has another.
        fs::rename(&path, folder.path().join("moved")).unwrap();
        let successor = LocalPort::bind(&path).unwrap();
        drop(port);
        UnixStream::connect(&path).unwrap();
        drop(successor);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(LocalPort::bind(file.path()).is_err());
        assert!(file.path().exists());
    }
}
