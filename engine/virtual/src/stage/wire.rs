//! Connecting, transmitting, receiving, and parting.
//!
//! Connecting costs what it costs on TCP: a SYN there, a SYN-ACK back, and then the greetings of both sockets, the
//! dialer's with the third segment. So the listener's pipe is up one and a half round trips after the dialer began, and
//! the dialer's after two. Where nobody listens, the refusal is back after one; over a cut link nothing comes back and the
//! dialer gives up after its socket's `handshake_timeout`.

use bytes::BytesMut;
use sp_proto::{Attachment, DownReason, EndpointOptions, Message, PeerFault, wire};

use super::{Due, Stage};
use crate::connection::{Connection, ConnectionId, End, EndState, Parcel, Side, frame};
use crate::ids::{SiteId, SocketId};
use crate::network::Listening;
use crate::story::Scene;

impl Stage {
    /// A dialer may try to connect.
    pub(super) fn connect(&mut self, socket: SocketId, dialer: usize) {
        let now = self.now;
        let Some(live) = self.live(socket) else { return };
        let Some(dialing) = live.dialers.get_mut(dialer) else { return };
        if !dialing.machine.poll_connect(now) {
            return;
        }
        let (here, address) = (live.host, dialing.address.clone());
        let patience = live.machine.options().handshake_timeout;
        // A name that nobody has ever listened at is refused by the site itself.
        let there = self.network.listeners.get(&address).map_or(here, |listening| listening.host);
        let sites = (self.sites[here.index()], self.sites[there.index()]);
        let Some(links) = self.network.route(sites.0, sites.1) else {
            self.dialer_down(socket, dialer);
            return;
        };
        let [out, back] = links;
        let ends =
            [End::new(here, socket, EndState::Connecting, out), End::new(there, socket, EndState::Unaware, back)];
        let id = self.network.connections.add(Connection::new(address, dialer, ends));
        let alarm = self.agenda.set_alarm(now + patience, Due::Handshake { connection: id });
        if let Some(connection) = self.network.connections.get_mut(id) {
            connection.handshake = Some(alarm);
        }
        if let Some(live) = self.live(socket) {
            live.connections.insert((id, Side::Dialer));
        }
        self.send(id, Side::Dialer, Parcel::Syn);
    }

    /// The dialer has waited long enough.
    pub(super) fn give_up(&mut self, id: ConnectionId) {
        if let Some(connection) = self.network.connections.get_mut(id) {
            connection.handshake = None;
            self.leave(id, Side::Dialer, DownReason::Lost, Some(Parcel::Reset));
        }
    }

    /// Something that `sender` sent may have arrived.
    pub(super) fn arrive(&mut self, id: ConnectionId, sender: Side) {
        let now = self.now;
        if let Some(connection) = self.network.connections.get_mut(id) {
            connection.way_mut(sender).armed = false;
        }
        while let Some(connection) = self.network.connections.get_mut(id) {
            let link = &self.network.links[connection.link(sender)];
            let Some(parcel) = connection.way_mut(sender).poll(link, now) else { break };
            self.take_in(id, sender.other(), parcel);
        }
        self.arm(id, sender);
    }

    /// Something has arrived at a site. Its program has it at once, or when it comes to it.
    fn take_in(&mut self, id: ConnectionId, side: Side, parcel: Parcel) {
        let now = self.now;
        if self.processors.is_empty() {
            return self.receive(id, side, parcel);
        }
        let Some(connection) = self.network.connections.get(id) else { return };
        let site = self.sites[connection.end(side).host.index()];
        let Some(processor) = self.processors.get_mut(site.index()) else {
            return self.receive(id, side, parcel);
        };
        let at = match &parcel {
            Parcel::Message(message) => processor.receive(now, message.len()),
            _ => processor.after_all(now),
        };
        processor.inbox.push_back((id, side, parcel));
        self.agenda.enter(at, Due::Taken { site });
    }

    /// The program of a site comes to what has arrived next.
    pub(super) fn take_up(&mut self, site: SiteId) {
        let Some((id, side, parcel)) = self.processors[site.index()].inbox.pop_front() else { return };
        if self.network.connections.get(id).is_some() {
            self.receive(id, side, parcel);
        } else if let Parcel::Message(_) = parcel {
            self.network.traffic.discarded += 1;
        }
    }

    /// The sender has heard that something was consumed.
    pub(super) fn credit(&mut self, id: ConnectionId, sender: Side) {
        if let Some(connection) = self.network.connections.get_mut(id) {
            connection.way_mut(sender).credit_awaited = false;
            let socket = connection.end(sender).socket;
            self.pump(id, sender);
            // Transmitting makes room, and room may be what someone waits for.
            self.touch(socket);
        }
    }

    /// Sees to it that the next arrival is in the agenda.
    pub(super) fn arm(&mut self, id: ConnectionId, sender: Side) {
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let link = &self.network.links[connection.link(sender)];
        let way = connection.way_mut(sender);
        if !way.armed
            && let Some(at) = way.next_arrival(link)
        {
            way.armed = true;
            self.agenda.enter(at, Due::Arrival { connection: id, sender });
        }
    }

    /// Transmits what the socket has for this connection, as far as the window goes.
    pub(super) fn pump(&mut self, id: ConnectionId, side: Side) {
        self.transmit(id, side, self.window);
    }

    /// Transmits all a socket has, whatever the windows say: it is closing, and its messages linger below it.
    pub(super) fn flush(&mut self, socket: SocketId) {
        let connections = self.live(socket).map(|live| live.connections.clone()).unwrap_or_default();
        for (id, side) in connections {
            self.transmit(id, side, usize::MAX);
        }
    }

    fn transmit(&mut self, id: ConnectionId, side: Side, window: usize) {
        let now = self.now;
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let &End { state: EndState::Up(pipe), socket, host, .. } = connection.end(side) else { return };
        let peer = connection.end(side.other()).host;
        let Some(live) = self.sockets[socket.index()].as_deref_mut() else { return };
        let link = &mut self.network.links[connection.link(side)];
        let way = connection.way_mut(side);
        way.collect_credits(now);
        loop {
            if way.unconsumed >= window {
                way.blocked = true;
                break;
            }
            let Some(message) = live.machine.poll_transmit(now, pipe) else {
                way.blocked = false;
                break;
            };
            let size = frame(message.len());
            way.unconsumed += size;
            let leaves = match self.processors.as_mut_slice() {
                [] => now,
                processors => processors[self.sites[host.index()].index()].send(now, message.len()),
            };
            way.offer(link, leaves, Parcel::Message(message));
            self.network.traffic.sent += 1;
            if let Some(story) = &mut self.story {
                let names = (&self.hosts[host.index()].name, &self.hosts[peer.index()].name);
                story.tell(now, names.0, Scene::Sent(names.1, size - wire::FRAME_HEADER_LEN));
            }
        }
        self.await_credit(id, side);
        self.arm(id, side);
    }

    /// If the sender is blocked, sees to it that it is woken at its first credit. There is none while its peer has
    /// consumed nothing; then the peer's consuming wakes it. A sender that is gone is not woken.
    fn await_credit(&mut self, id: ConnectionId, sender: Side) {
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let is_up = matches!(connection.end(sender).state, EndState::Up(_));
        let way = connection.way_mut(sender);
        if way.blocked
            && !way.credit_awaited
            && is_up
            && let Some((at, _)) = way.credits.front()
        {
            way.credit_awaited = true;
            self.agenda.enter(*at, Due::Credit { connection: id, sender });
        }
    }

    /// Lets the socket have what is held for it, as far as it admits.
    pub(super) fn admit(&mut self, id: ConnectionId, side: Side) {
        while let Some(connection) = self.network.connections.get_mut(id)
            && let &mut End { state: EndState::Up(pipe), socket, ref mut held, .. } = connection.end_mut(side)
            && let Some(held) = held.as_mut().filter(|held| !held.is_empty())
        {
            let Some(live) = self.sockets[socket.index()].as_deref_mut() else { return };
            if !live.machine.admits(pipe) {
                return;
            }
            if let Some(message) = held.pop_front() {
                self.hand_over(id, side, message);
            }
        }
        if self.network.connections.get_mut(id).is_some_and(|connection| connection.end(side).ending) {
            self.leave(id, side, DownReason::Lost, None);
        }
    }

    /// One end is done with a connection; if it was a pipe, its socket learns it. `farewell` goes to the other end.
    pub(super) fn leave(&mut self, id: ConnectionId, side: Side, reason: DownReason, farewell: Option<Parcel>) {
        let now = self.now;
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let peer = connection.end(side.other()).host;
        let dialer = connection.dialer;
        let end = connection.end_mut(side);
        let (socket, host) = (end.socket, end.host);
        let state = std::mem::replace(&mut end.state, EndState::Gone);
        if state == EndState::Gone {
            return;
        }
        self.network.traffic.discarded += end.held.take().map_or(0, |held| held.len()) as u64;
        if side == Side::Dialer
            && let Some(alarm) = connection.handshake.take()
        {
            self.agenda.cancel(alarm);
        }
        if let EndState::Up(_) = state {
            self.tell_of_peer(host, peer, |peer| Scene::PipeDown(peer));
        }
        if state != EndState::Unaware
            && let Some(live) = self.live(socket)
        {
            live.connections.remove(&(id, side));
            if let EndState::Up(pipe) = state {
                live.part(pipe);
                live.machine.detach(now, pipe, reason);
            }
            if side == Side::Dialer {
                self.dialer_down(socket, dialer);
            }
            self.touch(socket);
        }
        if let Some(parcel) = farewell {
            self.send(id, side, parcel);
        }
        if self.network.connections.get_mut(id).is_some_and(|connection| connection.is_over())
            && let Some(connection) = self.network.connections.remove(id)
        {
            self.network.traffic.discarded += connection.messages() as u64;
        }
    }

    fn receive(&mut self, id: ConnectionId, side: Side, parcel: Parcel) {
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let end = connection.end_mut(side);
        match (parcel, end.state) {
            (Parcel::Syn, EndState::Unaware) => self.accept(id),
            (Parcel::SynAck, EndState::Connecting) => {
                end.state = EndState::Greeting;
                self.greet(id, side);
            }
            (Parcel::Greeting(greeting), EndState::Greeting) => self.meet(id, side, &greeting),
            (Parcel::Message(message), EndState::Up(pipe)) => {
                let admitted = end.holds() == 0
                    && self.sockets[end.socket.index()].as_deref_mut().is_some_and(|live| live.machine.admits(pipe));
                if admitted {
                    self.hand_over(id, side, message);
                } else {
                    end.held.get_or_insert_default().push_back(message);
                }
            }
            (Parcel::Message(_), _) => self.network.traffic.discarded += 1,
            (Parcel::Fin, EndState::Up(_)) if end.holds() > 0 => end.ending = true,
            (Parcel::Fin | Parcel::Reset | Parcel::Refused, _) => self.leave(id, side, DownReason::Lost, None),
            (Parcel::Syn | Parcel::SynAck | Parcel::Greeting(_), _) => {}
        }
    }

    /// The listening host hears of a connection.
    fn accept(&mut self, id: ConnectionId) {
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let end = connection.end(Side::Listener);
        let listening = self.network.listeners.get(&connection.address).copied();
        // It may have moved to another host since it was dialled.
        match listening {
            Some(Listening { host, socket: Some(socket), .. }) if host == end.host => {
                let link = connection.link(Side::Listener);
                *connection.end_mut(Side::Listener) = End::new(host, socket, EndState::Greeting, link);
                if let Some(live) = self.live(socket) {
                    live.connections.insert((id, Side::Listener));
                }
                self.send(id, Side::Listener, Parcel::SynAck);
            }
            _ => self.leave(id, Side::Listener, DownReason::Closed, Some(Parcel::Refused)),
        }
    }

    fn greet(&mut self, id: ConnectionId, side: Side) {
        if let Some(connection) = self.network.connections.get_mut(id)
            && let Some(live) = self.sockets[connection.end(side).socket.index()].as_deref()
        {
            let greeting = wire::greeting(live.machine.kind());
            self.send(id, side, Parcel::Greeting(greeting));
        }
    }

    /// The peer has greeted: this end becomes a pipe, unless they have nothing to say to each other.
    fn meet(&mut self, id: ConnectionId, side: Side, greeting: &[u8]) {
        if side == Side::Listener {
            self.greet(id, side);
        }
        match self.attach(id, side, greeting) {
            Ok(()) => {
                if let Some(connection) = self.network.connections.get_mut(id) {
                    let (host, peer) = (connection.end(side).host, connection.end(side.other()).host);
                    self.tell_of_peer(host, peer, |peer| Scene::PipeUp(peer));
                }
            }
            Err(reason) => self.leave(id, side, reason, Some(Parcel::Reset)),
        }
    }

    fn attach(&mut self, id: ConnectionId, side: Side, greeting: &[u8]) -> Result<(), DownReason> {
        let now = self.now;
        let connection = self.network.connections.get_mut(id).ok_or(DownReason::Lost)?;
        let socket = connection.end(side).socket;
        let live = self.sockets[socket.index()].as_deref_mut().ok_or(DownReason::Lost)?;
        let mut reader = wire::Reader::new(live.machine.kind(), live.machine.options().max_message);
        let peer = match reader.next(&mut BytesMut::from(greeting)) {
            Ok(Some(wire::Input::Greeting { peer })) => peer,
            Ok(_) => return Err(DownReason::Lost),
            Err(fault) => {
                live.machine.handle_fault(fault);
                return Err(DownReason::Fault(fault));
            }
        };
        let endpoint = match side {
            Side::Dialer => live.dialers[connection.dialer].endpoint,
            Side::Listener => {
                self.network.listeners.get(&connection.address).map_or(EndpointOptions::default(), |l| l.endpoint)
            }
        };
        let pipe = live.machine.attach(now, Attachment { peer, endpoint }).map_err(|_| DownReason::Closed)?;
        live.join(pipe, id, side);
        connection.end_mut(side).state = EndState::Up(pipe);
        if side == Side::Dialer {
            live.dialers[connection.dialer].machine.handle_up(now);
            if let Some(alarm) = connection.handshake.take() {
                self.agenda.cancel(alarm);
            }
        }
        self.touch(socket);
        Ok(())
    }

    /// Gives a message to the socket; its sender hears of it one delay later.
    fn hand_over(&mut self, id: ConnectionId, side: Side, message: Message) {
        let now = self.now;
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let &End { state: EndState::Up(pipe), socket, host, .. } = connection.end(side) else { return };
        let peer = connection.end(side.other()).host;
        let back = self.network.links[connection.link(side)].options().delay;
        let way = connection.way_mut(side.other());
        way.credits.push_back((now + back, frame(message.len())));
        let blocked = way.blocked;
        self.network.traffic.delivered += 1;
        self.tell_of_peer(host, peer, |peer| Scene::Received(peer, message.len()));
        let Some(machine) = self.touch(socket) else { return };
        let limit = machine.options().max_message;
        if message.len() > wire::most_bytes(machine.kind(), limit) {
            let fault = PeerFault::TooLarge { size: message.len() as u64, limit };
            self.leave(id, side, DownReason::Fault(fault), Some(Parcel::Reset));
            return;
        }
        machine.handle_whole_message(now, pipe, message);
        if blocked {
            self.await_credit(id, side.other());
        }
    }

    fn send(&mut self, id: ConnectionId, side: Side, parcel: Parcel) {
        let now = self.now;
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let link = &mut self.network.links[connection.link(side)];
        connection.way_mut(side).offer(link, now, parcel);
        self.arm(id, side);
    }

    fn dialer_down(&mut self, socket: SocketId, dialer: usize) {
        let now = self.now;
        let Some(live) = self.live(socket) else { return };
        let Some(dialing) = live.dialers.get_mut(dialer) else { return };
        dialing.machine.handle_down(now);
        if let Some(at) = dialing.machine.poll_timeout() {
            self.agenda.enter(at, Due::Dial { socket, dialer: dialer as u32 });
        }
    }
}
