//! Names by number of what is in a world.

use sp_proto::Ticket;

/// A site. Sites are numbered in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub(crate) u32);

/// A host. Hosts are numbered in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) u32);

/// A socket. The number of a closed socket is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(crate) u32);

/// A station. Stations are numbered in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StationId(pub(crate) u32);

/// A crowd. Crowds are numbered in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrowdId(pub(crate) u32);

/// A ticket together with its socket: what someone outside the world waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutsideTicket {
    /// Whose ticket it is.
    pub socket: SocketId,
    /// The socket's ticket.
    pub ticket: Ticket,
}

macro_rules! numbered {
    ($($id:ident)*) => {$(
        impl $id {
            /// Its number, from 0.
            pub fn number(self) -> u32 {
                self.0
            }

            /// The one with this number; whether it exists, the world knows.
            pub fn from_number(number: u32) -> $id {
                $id(number)
            }

            pub(crate) fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

numbered!(SiteId HostId SocketId StationId CrowdId);
