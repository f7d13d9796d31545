//! IPC: UNIX sockets, named by files.
//!
//! Only the user who listens may connect, unless the file's mode is changed. A file that is in the way is removed only if
//! it is a socket and nobody listens at it, which is found out while the folder is locked: two programs that start at
//! once cannot take each other's file for a dead one.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use sp_proto::Address;

use super::carrier::Carrier;
use super::tcp;
use crate::clock::now;

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    address: Address,
    path: PathBuf,
    /// Device and number of the file.
    identity: Option<(u64, u64)>,
}

impl Listener {
    pub(crate) fn bind(address: &Address) -> io::Result<Listener> {
        // The program may change its working directory before the file is removed.
        let path = std::path::absolute(&address.rest)?;
        let socket = open()?;
        // The file gets the mode that its socket has (unix(7)): there is no moment when others could connect.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        let name = SockAddr::unix(&address.rest)?;
        // Locked until it listens, so that nobody finds the file and takes it for a dead one.
        let locked = lock_folder(&path, PATIENCE);
        match socket.bind(&name) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                locked.as_ref().map_err(|error| io::Error::new(error.kind(), format!("its folder: {error}")))?;
                remove_if_dead(&path, &name)?;
                socket.bind(&name)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(io::Error::new(ErrorKind::NotFound, "the folder of the file does not exist"));
            }
            result => result?,
        }
        socket.listen(tcp::BACKLOG)?;
        let identity = identity_of(&path);
        Ok(Listener { socket, address: address.clone(), path, identity })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn accept(&self) -> io::Result<Option<Carrier>> {
        Ok(tcp::accept(&self.socket)?.map(Carrier::new))
    }
}

/// The file is removed if it is still this listener's.
impl Drop for Listener {
    fn drop(&mut self) {
        if self.identity.is_some()
            && let Ok(_locked) = lock_folder(&self.path, Duration::ZERO)
            && identity_of(&self.path) == self.identity
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Connects; a UNIX socket does so at once or not at all.
pub(crate) fn dial(path: &str) -> io::Result<Carrier> {
    let socket = open()?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(Carrier::new(socket)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(io::Error::new(ErrorKind::WouldBlock, "too many are waiting to be accepted there"))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(io::Error::new(ErrorKind::ConnectionRefused, "nobody listens there"))
        }
        Err(error) => Err(error),
    }
}

/// Removes the file of a listener that has died, or says why not.
fn remove_if_dead(path: &Path, name: &SockAddr) -> io::Result<()> {
    let in_use = |why: &str| Err(io::Error::new(ErrorKind::AddrInUse, why.to_owned()));
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return in_use("the file exists and is not a socket"),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    match open()?.connect(name) {
        Err(error) if error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            in_use("the file is another user's, and whether anybody listens there cannot be found out")
        }
        Ok(()) | Err(_) => in_use("another socket listens there"),
    }
}

/// Held until dropped. Waits for as long as `patience` if another program holds it.
fn lock_folder(path: &Path, patience: Duration) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let held = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let end = now() + patience;
    loop {
        match rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if now() < end => thread::sleep(Duration::from_millis(5)),
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "it is locked by another program"));
            }
            result => {
                result?;
                return Ok(held.into());
            }
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn open() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

const PATIENCE: Duration = Duration::from_secs(2);
