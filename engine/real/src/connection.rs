//! Connections: bytes in, messages out, and the other way round.

mod bytes;
mod inproc;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ::bytes::Bytes;
use sp_proto::{Address, DownReason, PeerFault, PipeId, Socket, Time};

use self::bytes::ByteWay;
use self::inproc::InprocWay;
use crate::bell::Bell;
use crate::codec::Codec;
use crate::poller::Interest;
use crate::transport::carrier::{Carrier, Credentials};
use crate::transport::{Session, Stream};

/// One connection of a socket, from the attempt to make it until it is gone.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The endpoint that made it.
    pub(crate) endpoint: usize,
    pub(crate) phase: Phase,
    /// When it must have greeted.
    pub(crate) deadline: Time,
    /// What its descriptor is polled for now.
    pub(crate) polled: Interest,
    /// Tells it apart from every other one of its socket, earlier ones too.
    pub(crate) serial: u64,
    /// Something is encoded for the next write.
    pub(crate) held: bool,
    /// It is among those that are to be tried again, because the kernel's buffer was full.
    pub(crate) stuck: bool,
    way: Way,
    /// The machine's queue is full; nothing is read.
    paused: bool,
    /// It ends as if the process had been killed.
    aborted: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Greeting,
    /// The peer has greeted with this endpoint id, and the program is asked whether to admit it.
    Knocking(u16),
    Up(PipeId),
}

/// A peer, for whoever wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pipe, once it is up.
    pub pipe: Option<u32>,
    /// Where it is: scheme, host and port on a network, the path of an ipc socket, or the name of an inproc one.
    pub address: String,
    /// The address of the endpoint that made the connection.
    pub endpoint: Address,
    /// Who it is; only for ipc.
    pub credentials: Option<Credentials>,
    /// Its certificate in DER, if it has shown one; only with TLS.
    pub certificate: Option<Vec<u8>>,
}

/// What reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The peer has greeted with this endpoint id; attach it and read again.
    Greeting(u16),
    /// Nothing more for now.
    Nothing,
}

#[derive(Debug)]
enum Way {
    Bytes(ByteWay),
    Inproc(InprocWay),
}

impl Connection {
    /// `session` makes what a connection that carries bytes needs.
    pub(crate) fn new(
        stream: Stream,
        endpoint: usize,
        phase: Phase,
        deadline: Time,
        serial: u64,
        session: impl FnOnce() -> Result<Session, PeerFault>,
    ) -> Result<Connection, PeerFault> {
        let way = match stream {
            Stream::Bytes(carrier) => Way::Bytes(ByteWay::new(carrier, session()?)),
            Stream::Inproc(stream) => Way::Inproc(InprocWay::new(stream, session()?.codec)),
        };
        let polled = Interest::NONE;
        Ok(Connection {
            endpoint,
            phase,
            deadline,
            polled,
            serial,
            held: false,
            stuck: false,
            way,
            paused: false,
            aborted: false,
        })
    }

    pub(crate) fn is_inproc(&self) -> bool {
        matches!(self.way, Way::Inproc(_))
    }

    /// What its descriptor should be polled for.
    pub(crate) fn interest(&self) -> Interest {
        let blocked = self.is_blocked();
        match self.phase {
            Phase::Connecting => Interest::WRITE,
            Phase::Knocking(_) => Interest { read: false, write: blocked, once: false },
            Phase::Greeting | Phase::Up(_) => Interest { read: !self.paused, write: blocked, once: false },
        }
    }

    /// Its descriptor, if it has one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Bytes(way) => Some(way.carrier.as_fd()),
            Way::Inproc(_) => None,
        }
    }

    /// Who is at the other end. `endpoint` is the address of the endpoint that made the connection.
    pub(crate) fn peer(&self, endpoint: &Address) -> Peer {
        let (address, credentials, certificate) = match &self.way {
            Way::Bytes(way) => {
                let certificate = way.session.tls.as_ref().and_then(|tls| tls.peer_certificate());
                let address = way.carrier.peer().map(|place| format!("{}://{place}", endpoint.transport));
                (address, way.carrier.credentials(), certificate)
            }
            Way::Inproc(_) => (None, None, None),
        };
        Peer {
            pipe: if let Phase::Up(pipe) = self.phase { Some(pipe.word()) } else { None },
            address: address.unwrap_or_else(|| endpoint.to_string()),
            endpoint: endpoint.clone(),
            credentials,
            certificate,
        }
    }

    /// The attempt to connect has ended, well or not.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<()> {
        if let Way::Bytes(way) = &self.way {
            way.carrier.connected()?;
        }
        self.phase = Phase::Greeting;
        Ok(())
    }

    /// The machine has room again.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
    }

    /// Nothing more is delivered, as when the process is killed.
    pub(crate) fn abort(&mut self) {
        self.aborted = true;
        match &mut self.way {
            Way::Bytes(way) => way.carrier.abort(),
            Way::Inproc(way) => way.abort(),
        }
    }

    /// Says goodbye to the peer, in words if there are some and by the end of the stream, which it would not notice while
    /// a forked process holds the same descriptor.
    pub(crate) fn hang_up(&mut self) {
        if let Way::Bytes(way) = &mut self.way
            && !self.aborted
        {
            if matches!(self.phase, Phase::Up(_)) {
                way.say_goodbye();
            }
            way.carrier.hang_up();
        }
    }

    /// What is left when we have hung up and the peer has not; nothing if it was aborted.
    pub(crate) fn into_carrier(self) -> Option<Carrier> {
        match self.way {
            Way::Bytes(way) if !self.aborted => Some(way.carrier),
            Way::Bytes(_) | Way::Inproc(_) => None,
        }
    }

    /// Is everything written that was taken from the machine?
    pub(crate) fn is_flushed(&self) -> bool {
        match &self.way {
            Way::Bytes(way) => way.is_flushed(),
            Way::Inproc(way) => way.unsent() == 0,
        }
    }

    /// Messages that were taken from the machine and are not wholly written.
    pub(crate) fn unsent(&self) -> usize {
        match (&self.way, self.phase) {
            (Way::Bytes(way), Phase::Up(_)) => way.unsent(),
            (Way::Inproc(way), Phase::Up(_)) => way.unsent(),
            _ => 0,
        }
    }

    /// Reads what is there and tells the machine, until there is nothing, the machine has no room or the peer greets.
    pub(crate) fn read(&mut self, now: Time, socket: &mut Socket, scratch: &mut [u8]) -> Result<Found, DownReason> {
        let way = match &mut self.way {
            Way::Bytes(way) => way,
            Way::Inproc(way) => return way.read(now, socket, self.phase, &mut self.paused, true),
        };
        let result = way.read(now, socket, self.phase, &mut self.paused, scratch);
        if !way.is_flushed() && !way.blocked {
            // An answer to what was read, or why the connection ends.
            let written = way.write();
            if result.is_ok() {
                written?;
            }
        }
        result
    }

    /// Writes what the machine has to transmit, as far as the kernel takes it. What is added to `bells` has to sound.
    pub(crate) fn write(
        &mut self,
        now: Time,
        socket: &mut Socket,
        bells: &mut Vec<Arc<Bell>>,
    ) -> Result<(), DownReason> {
        match (&mut self.way, self.phase) {
            (Way::Bytes(way), Phase::Up(pipe)) => way.transmit(now, socket, pipe),
            (Way::Bytes(way), _) => way.write(),
            (Way::Inproc(way), Phase::Up(pipe)) => {
                bells.extend(way.transmit(now, socket, pipe));
                Ok(())
            }
            (Way::Inproc(_), _) => Ok(()),
        }
    }

    /// May a small message be added to what will be written next? Within the process no more are held back than `most`;
    /// elsewhere the kernel holds many anyway.
    pub(crate) fn takes(&self, most: usize) -> bool {
        match &self.way {
            Way::Bytes(way) => way.takes(),
            Way::Inproc(way) => way.takes(most),
        }
    }

    /// Adds one to what will be written with the next [`write`](Connection::write).
    pub(crate) fn hold(&mut self, body: &[u8]) {
        match &mut self.way {
            Way::Bytes(way) => way.hold(body),
            Way::Inproc(way) => way.hold(body),
        }
    }

    /// Lends the next message that has been read, if the machine lets it pass to the program.
    pub(crate) fn lend<R, T: FnOnce(&[u8]) -> R>(&mut self, now: Time, socket: &mut Socket, take: T) -> Result<R, T> {
        let Phase::Up(pipe) = self.phase else {
            return Err(take);
        };
        let codec = self.way.codec();
        match codec.peek() {
            Some(body) if socket.pass_in(now, pipe, body.len()) => {
                let taken = take(body);
                codec.skip();
                Ok(taken)
            }
            _ => Err(take),
        }
    }

    /// Takes that message.
    pub(crate) fn pass(&mut self, now: Time, socket: &mut Socket) -> Option<Bytes> {
        let Phase::Up(pipe) = self.phase else {
            return None;
        };
        let codec = self.way.codec();
        let len = codec.peek()?.len();
        if socket.pass_in(now, pipe, len) { codec.ready() } else { None }
    }

    /// Has it messages that were read and are left for the program to take?
    pub(crate) fn is_ripe(&self) -> bool {
        match &self.way {
            Way::Bytes(way) => way.ripe,
            Way::Inproc(way) => way.ripe,
        }
    }

    /// Tells the machine of those messages after all.
    pub(crate) fn digest(&mut self, now: Time, socket: &mut Socket) -> Result<(), DownReason> {
        match (&mut self.way, self.phase) {
            (Way::Bytes(way), phase) => way.parse(now, socket, phase, &mut self.paused, false).map(|_| ()),
            (Way::Inproc(way), phase) => way.read(now, socket, phase, &mut self.paused, false).map(|_| ()),
        }
    }

    /// Takes from the machine what will be written with the next [`write`](Connection::write). Says whether that should be
    /// soon, because it is much.
    pub(crate) fn gather(&mut self, now: Time, socket: &mut Socket) -> bool {
        match (&mut self.way, self.phase) {
            (Way::Bytes(way), Phase::Up(pipe)) => way.gather(now, socket, pipe),
            _ => true,
        }
    }

    /// The descriptor is writable again.
    pub(crate) fn unblock(&mut self) {
        if let Way::Bytes(way) = &mut self.way {
            way.blocked = false;
        }
    }

    /// Is it waiting for the kernel's buffer to drain?
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&self.way, Way::Bytes(way) if way.blocked)
    }
}

impl Way {
    fn codec(&mut self) -> &mut Codec {
        match self {
            Way::Bytes(way) => &mut way.session.codec,
            Way::Inproc(way) => &mut way.codec,
        }
    }
}

/// Bytes of a burst that are encoded and held back.
const HELD_AT_ONCE: usize = 64 << 10;
