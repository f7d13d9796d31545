//! One small world: which sockets there are, what their programs do, and what goes wrong. All of it is drawn from a seed.

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64Mcg;
use sp_proto::{
    ContextId, Dialer, DialerState, EndpointOptions, Kind, OpError, Options, Priority, Stats, Time, WhenFull, rng_from,
};

use super::common::{Defect, Happening, Mapping, World};
use super::program::{Ledger, Program, body_of};

/// A world with its programs, its links and its weather.
#[derive(Debug)]
pub(crate) struct Sim {
    world: World,
    luck: Pcg64Mcg,
    weather: Weather,
    /// The program of each socket; devices have none.
    programs: Vec<Option<Program>>,
    links: Vec<Link>,
    ledger: Ledger,
    /// How much of the story, and of what arrived at each end, the programs have heard.
    heard: usize,
    read: Vec<[usize; 2]>,
    transmitted: Vec<[usize; 2]>,
}

/// Two sockets that are to be connected; the first one dials.
#[derive(Debug)]
struct Link {
    nodes: [usize; 2],
    mapping: Mapping,
    endpoints: [EndpointOptions; 2],
    dialer: Dialer,
    /// The connection that it has or tries to have, and until when both sides must have greeted.
    connection: Option<(usize, Time)>,
}

/// How often something goes wrong, in each thousand deeds. Every world is spared half of the classes.
#[derive(Clone, Copy, Debug)]
struct Weather {
    breaks: u32,
    cuts: u32,
    partitions: u32,
    stops: u32,
    slow_readers: u32,
    restarts: u32,
    duplicates: u32,
    strangers: u32,
    give_backs: u32,
    /// How many moves of bytes there are after each deed; all, if nothing is said.
    pace: Option<usize>,
}

/// # From the beginning to the end
impl Sim {
    /// Runs the world of a seed; returns the hash of its story, and what its sockets counted.
    pub(crate) fn run(seed: u64, defect: Option<Defect>) -> (u64, Vec<Stats>) {
        let mut sim = Sim::new(seed);
        sim.world.defect = defect;
        for _ in 0..sim.luck.random_range(20..200) {
            sim.act();
            sim.tend();
        }
        sim.calm_down();
        sim.converge();
        sim.wind_up();
        (sim.hash(), sim.world.nodes.iter().map(|node| *node.socket.stats()).collect())
    }

    fn new(seed: u64) -> Sim {
        let mut luck = rng_from(seed);
        let mut sim = Sim {
            world: World::new(luck.random()),
            weather: Weather::draw(&mut luck),
            luck,
            programs: vec![],
            links: vec![],
            ledger: Ledger::default(),
            heard: 0,
            read: vec![],
            transmitted: vec![],
        };
        sim.world.curious = false;
        sim.world.pace = sim.weather.pace;
        for _ in 0..sim.luck.random_range(1..=2) {
            sim.add_pattern();
        }
        sim.tend();
        sim
    }

    /// Some sockets of a pattern, linked directly or by a device.
    fn add_pattern(&mut self) {
        let kind = *Kind::ALL.choose(&mut self.luck).unwrap();
        let partner = kind.partner();
        let options = self.options();
        let count = |luck: &mut Pcg64Mcg| luck.random_range(1..=2);
        let ours: Vec<usize> = (0..count(&mut self.luck)).map(|_| self.add(kind, &options)).collect();
        let theirs: Vec<usize> = (0..count(&mut self.luck)).map(|_| self.add(partner, &options)).collect();
        if !self.luck.random_ratio(1, 3) {
            for (a, b) in ours.iter().flat_map(|a| theirs.iter().map(move |b| (*a, *b))) {
                self.link(a, b);
            }
            return;
        }
        let [first, second] = match kind {
            Kind::Bus => [self.add_raw(kind, &options); 2],
            _ => [self.add_raw(partner, &options), self.add_raw(kind, &options)],
        };
        self.world.relay(first, Some(second).filter(|_| first != second)).unwrap();
        for node in ours.iter().chain(&theirs) {
            self.program(*node).behind_device = true;
        }
        ours.iter().for_each(|node| self.link(*node, first));
        theirs.iter().for_each(|node| self.link(second, *node));
    }

    fn add(&mut self, kind: Kind, options: &Options) -> usize {
        let max_message = if self.luck.random_ratio(1, 4) { 64 } else { options.max_message };
        let node = self.world.add(kind, &Options { max_message, ..options.clone() });
        self.programs.push(Some(Program::new(node, kind, false)));
        if kind == Kind::Sub {
            self.subscribe(node, ContextId::DEFAULT);
        }
        node
    }

    fn add_raw(&mut self, kind: Kind, options: &Options) -> usize {
        self.programs.push(None);
        self.world.add_raw(kind, options)
    }

    fn link(&mut self, a: usize, b: usize) {
        let luck = &mut self.luck;
        let endpoint = |luck: &mut Pcg64Mcg| EndpointOptions {
            send_priority: Priority::new(luck.random_range(7..=9)).unwrap(),
            recv_priority: Priority::new(luck.random_range(7..=9)).unwrap(),
            when_full: if luck.random_ratio(1, 4) { WhenFull::ALL.choose(luck).copied() } else { None },
        };
        let endpoints = [endpoint(luck), endpoint(luck)];
        let mapping = *[Mapping::Tcp, Mapping::Ipc, Mapping::WebSocket].choose(luck).unwrap();
        let nodes = if luck.random() { [a, b] } else { [b, a] };
        let endpoints = if nodes == [a, b] { endpoints } else { [endpoints[1], endpoints[0]] };
        let dialer = Dialer::new(self.world.now, self.world.nodes[nodes[0]].socket.options(), luck.random());
        self.links.push(Link { nodes, mapping, endpoints, dialer, connection: None });
    }

    /// Small bounds, and little patience.
    fn options(&mut self) -> Options {
        let luck = &mut self.luck;
        let bound = |luck: &mut Pcg64Mcg| *[1, 2, 7, 50].choose(luck).unwrap();
        Options {
            send_queue: bound(luck),
            recv_queue: bound(luck),
            queue_bytes: *[1, 20, 1 << 20].choose(luck).unwrap(),
            max_message: *[64, 200].choose(luck).unwrap(),
            resend: Duration::from_millis(luck.random_range(1..60)),
            instant_resends: luck.random_range(0..4),
            // Longer than a round of `converge`.
            survey_deadline: Duration::from_millis(luck.random_range(8..60)),
            when_full: if luck.random() { WhenFull::ALL.choose(luck).copied() } else { None },
            max_contexts: luck.random_range(1..5),
            max_pipes: luck.random_range(3..6),
            max_subscriptions: 4,
            reconnect_min: Duration::from_millis(luck.random_range(1..20)),
            reconnect_max: RECONNECT_MAX,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            ..Options::default()
        }
    }
}

impl Weather {
    fn draw(luck: &mut Pcg64Mcg) -> Weather {
        let mut class = |most: u32| if luck.random() { luck.random_range(1..=most) } else { 0 };
        Weather {
            breaks: class(60),
            cuts: class(60),
            partitions: class(80),
            stops: class(60),
            slow_readers: class(100),
            restarts: class(30),
            duplicates: class(40),
            strangers: class(20),
            give_backs: class(60),
            pace: if luck.random() { Some(luck.random_range(1..12)) } else { None },
        }
    }
}

/// # What happens
impl Sim {
    fn act(&mut self) {
        let weather = self.weather;
        let dice = self.luck.random_range(0..1000);
        let mut sum = 0;
        let mut falls = |odds: u32| {
            sum += odds;
            dice < sum
        };
        let node = self.luck.random_range(0..self.world.nodes.len());
        let connection = self.any_connection();
        let side = self.luck.random_range(0..2);
        match connection {
            Some(connection) if falls(weather.breaks) => return self.world.break_off(connection),
            Some(connection) if falls(weather.cuts) => {
                let bytes = self.luck.random_range(0..40);
                return self.world.cut(connection, side, bytes);
            }
            Some(connection) if falls(weather.partitions) => {
                let silent = self.luck.random_ratio(2, 3);
                self.world.silence(connection, side, silent);
                if self.luck.random() {
                    self.world.silence(connection, 1 - side, silent);
                }
                return;
            }
            Some(connection) if falls(weather.slow_readers) => {
                let held = self.luck.random_ratio(2, 3);
                return self.world.hold(connection, side, held);
            }
            _ => {}
        }
        if falls(weather.stops) {
            let asleep = !self.world.nodes[node].asleep;
            return self.world.sleep(node, asleep);
        }
        if falls(weather.restarts) {
            return self.restart(node);
        }
        if falls(weather.strangers) {
            let other = self.luck.random_range(0..self.world.nodes.len());
            let kind = |node: usize| self.world.nodes[node].socket.kind();
            if kind(node).accepts(kind(other).id()).is_err() {
                self.world.connect(node, other);
            }
            return;
        }
        if falls(weather.duplicates) && self.may_be_doubled() {
            let Link { nodes, mapping, endpoints, .. } = self.links.choose(&mut self.luck).unwrap();
            self.world.connect_over(*mapping, *nodes, *endpoints);
            return;
        }
        if dice >= 900 {
            let micros = self.luck.random_range(0..30_000);
            return self.world.advance(Duration::from_micros(micros));
        }
        if self.programs[node].is_some() && !self.world.nodes[node].asleep {
            if falls(weather.give_backs) {
                self.give_back(node);
            } else {
                self.command(node);
            }
        }
    }

    fn command(&mut self, node: usize) {
        let Some(program) = &self.programs[node] else { return };
        let kind = program.kind;
        let context = *program.contexts.choose(&mut self.luck).unwrap();
        let patience = self.luck.random_range(0..60_000);
        let deadline = if self.luck.random() { Some(self.world.now + Duration::from_micros(patience)) } else { None };
        // Who is asked answers, more often than not.
        let asked = matches!(kind, Kind::Rep | Kind::Respondent) && program.asked.contains_key(&context);
        match self.luck.random_range(0..20) {
            8..=19 if asked => self.try_send(node, context),
            0..=3 => self.try_send(node, context),
            4..=6 => {
                let body = self.body(node, context);
                let ticket = self.world.submit_send(node, context, body.clone(), deadline);
                self.program(node).waiting.insert(ticket, (context, Some(body)));
            }
            7..=11 => {
                self.try_recv(node, context);
            }
            12..=14 => {
                let ticket = self.world.submit_recv(node, context, deadline);
                self.program(node).waiting.insert(ticket, (context, None));
            }
            15 => {
                let waiting: Vec<_> = self.program(node).waiting.keys().copied().collect();
                if let Some(ticket) = waiting.choose(&mut self.luck) {
                    self.world.cancel(node, *ticket);
                }
            }
            16 => {
                if let Ok(context) = self.world.open(node) {
                    self.hear();
                    self.program(node).contexts.push(context);
                    self.subscribe_if_sub(node, context);
                }
            }
            17 if context != ContextId::DEFAULT => {
                self.program(node).has_ended(context);
                self.world.end(node, context);
                self.hear();
            }
            _ if kind == Kind::Sub => self.change_subscriptions(node, context),
            _ => {
                self.try_recv(node, context);
            }
        }
    }

    fn try_send(&mut self, node: usize, context: ContextId) {
        let body = self.body(node, context);
        let fits = body.len() <= self.world.nodes[node].socket.options().max_message;
        match self.world.try_send(node, context, body.clone()) {
            Ok(()) => {
                assert!(fits, "what is too large is not sent");
                let (now, span) = (self.world.now, self.span(node));
                self.program(node).has_sent(now, span, context, &body);
            }
            Err(OpError::TooLarge { .. }) => assert!(!fits),
            Err(_) => {}
        }
    }

    fn try_recv(&mut self, node: usize, context: ContextId) -> bool {
        let received = self.world.try_recv(node, context);
        self.read_arrivals();
        let Ok(body) = received else { return false };
        let Sim { programs, ledger, .. } = self;
        programs[node].as_mut().unwrap().has_received(ledger, context, body);
        true
    }

    fn give_back(&mut self, node: usize) {
        if let Some(body) = self.program(node).gives_back() {
            self.world.put_back(node, ContextId::DEFAULT, body);
        }
    }

    fn change_subscriptions(&mut self, node: usize, context: ContextId) {
        if self.luck.random() {
            return self.subscribe(node, context);
        }
        let topic = *TOPICS.choose(&mut self.luck).unwrap();
        let topics = self.program(node).topics.entry(context).or_default();
        let place = topics.iter().position(|other| *other == topic);
        if let Some(place) = place {
            topics.swap_remove(place);
        }
        let result = self.world.unsubscribe(node, context, topic.as_bytes());
        assert_eq!(result.is_ok(), place.is_some());
    }

    fn subscribe_if_sub(&mut self, node: usize, context: ContextId) {
        if self.program(node).kind == Kind::Sub {
            self.subscribe(node, context);
        }
    }

    fn subscribe(&mut self, node: usize, context: ContextId) {
        let topic = *TOPICS.choose(&mut self.luck).unwrap();
        // What arrives while it settles is already wanted.
        self.program(node).topics.entry(context).or_default().push(topic);
        if self.world.subscribe(node, context, topic.as_bytes()).is_err() {
            self.read_arrivals_without(node, context);
        }
    }

    fn restart(&mut self, node: usize) {
        if let Some(program) = &mut self.programs[node] {
            *program = Program::new(node, program.kind, program.behind_device);
        }
        self.world.restart(node);
        self.hear();
        if self.programs[node].is_some() {
            self.subscribe_if_sub(node, ContextId::DEFAULT);
        }
    }

    /// What to send next. A REP answers what its conversation was asked last, as often as it is told to.
    fn body(&mut self, node: usize, context: ContextId) -> Bytes {
        let size = match self.luck.random_range(0..20) {
            0 => 201,
            1..=3 => self.luck.random_range(60..70),
            _ => self.luck.random_range(0..30),
        };
        let topic = TOPICS.choose(&mut self.luck).unwrap();
        let program = self.programs[node].as_ref().unwrap();
        let asked = program.asked.get(&context).map(|asked| asked.body.clone());
        let nothing = Bytes::from("nothing");
        let answers = match program.kind {
            Kind::Rep | Kind::Respondent => Some(asked.as_ref().unwrap_or(&nothing)),
            _ => None,
        };
        self.ledger.write(node, program.kind, topic, size, answers)
    }

    /// After each deed: what programs hear of, and what dialers do.
    fn tend(&mut self) {
        self.hear();
        for number in 0..self.links.len() {
            self.dial(number);
        }
        self.hear();
        for program in self.programs.iter().flatten() {
            program.check(&self.world);
        }
    }

    fn dial(&mut self, number: usize) {
        let now = self.world.now;
        let link = &mut self.links[number];
        if let Some((connection, patience)) = link.connection {
            let [a, b] = &self.world.connections[connection].ends;
            let up = a.pipe.is_some() && b.pipe.is_some();
            if !a.alive || (!up && now >= patience) {
                link.connection = None;
                link.dialer.handle_down(now);
                self.world.break_off(connection);
            } else if up && !matches!(link.dialer.state(), DialerState::Up { .. }) {
                link.dialer.handle_up(now);
            }
        }
        let link = &mut self.links[number];
        if !self.world.nodes[link.nodes[0]].asleep && link.dialer.poll_connect(now) {
            let patience = now + HANDSHAKE_TIMEOUT;
            let connection = self.world.connect_over(link.mapping, link.nodes, link.endpoints);
            self.links[number].connection = Some((connection, patience));
        }
    }

    /// Tells the programs of what arrived and what was answered, in this order.
    fn hear(&mut self) {
        self.read_arrivals();
        let Sim { world, programs, ledger, heard, .. } = self;
        for (at, happening) in &world.story[*heard..] {
            if let Happening::Answer { node, ticket, answer } = happening {
                let span = world.nodes[*node].socket.options().survey_deadline;
                if let Some(program) = &mut programs[*node] {
                    program.has_heard(ledger, *at, span, *ticket, answer);
                }
            }
        }
        *heard = world.story.len();
    }

    fn read_arrivals(&mut self) {
        let Sim { world, programs, ledger, read, transmitted, .. } = self;
        read.resize(world.connections.len(), [0; 2]);
        transmitted.resize(world.connections.len(), [0; 2]);
        for (number, connection) in world.connections.iter().enumerate() {
            for (side, end) in connection.ends.iter().enumerate() {
                if let Some(program) = &programs[end.node] {
                    for wire in &end.written[transmitted[number][side]..] {
                        // The other way round: what one sends, its partner receives.
                        ledger.has_transmitted(program.kind, &body_of(program.kind, wire), [number, side]);
                    }
                }
                transmitted[number][side] = end.written.len();
                if let Some(program) = &mut programs[end.node] {
                    for place in read[number][side]..end.arrived.len() {
                        let body = body_of(program.kind, &end.arrived[place]);
                        program.has_arrived(&body, [number, side, place], end.arrived_at[place]);
                    }
                }
                read[number][side] = end.arrived.len();
            }
        }
    }

    /// A subscription was refused, so what came meanwhile was not wanted.
    fn read_arrivals_without(&mut self, node: usize, context: ContextId) {
        self.program(node).topics.get_mut(&context).unwrap().pop();
        self.read_arrivals();
    }
}

/// # In the end
impl Sim {
    /// No more faults: whatever was stopped goes on, and every connection behaves.
    fn calm_down(&mut self) {
        self.world.pace = None;
        for node in 0..self.world.nodes.len() {
            self.world.sleep(node, false);
            self.hear();
        }
        for connection in 0..self.world.connections.len() {
            for side in [0, 1] {
                self.world.hold(connection, side, false);
                self.world.silence(connection, side, false);
            }
        }
        self.tend();
        // Old commands have had their time.
        for node in 0..self.world.nodes.len() {
            let Some(program) = &self.programs[node] else { continue };
            let waiting: Vec<_> = program.waiting.keys().copied().collect();
            let contexts = program.contexts.clone();
            for ticket in waiting {
                self.world.cancel(node, ticket);
                self.hear();
            }
            for context in contexts.into_iter().filter(|context| *context != ContextId::DEFAULT) {
                self.program(node).has_ended(context);
                self.world.end(node, context);
                self.hear();
            }
            if self.program(node).kind == Kind::Sub {
                while self.program(node).topics.get(&ContextId::DEFAULT).is_some_and(|topics| !topics.is_empty()) {
                    let topic = self.program(node).topics.get_mut(&ContextId::DEFAULT).unwrap().pop().unwrap();
                    self.world.unsubscribe(node, ContextId::DEFAULT, topic.as_bytes()).unwrap();
                    self.hear();
                }
                self.program(node).topics.entry(ContextId::DEFAULT).or_default().push("");
                self.world.subscribe(node, ContextId::DEFAULT, b"").unwrap();
            }
            self.hear();
        }
    }

    /// Every link comes up, and something new gets through from everyone who sends.
    fn converge(&mut self) {
        let mut last: Vec<Option<Bytes>> = vec![None; self.world.nodes.len()];
        let mut through = vec![false; self.world.nodes.len()];
        for round in 0..ROUNDS {
            for node in 0..self.world.nodes.len() {
                self.drain(node);
            }
            for node in 0..self.world.nodes.len() {
                let Some(program) = &self.programs[node] else { continue };
                let kind = program.kind;
                through[node] |= last[node].as_ref().is_some_and(|body| self.came_through(node, kind, body));
                let speaks = !matches!(kind, Kind::Sub | Kind::Pull | Kind::Rep | Kind::Respondent);
                if !through[node] && speaks && round % 8 == 0 {
                    let body = self.ledger.write(node, kind, "", 0, None);
                    if self.world.try_send(node, ContextId::DEFAULT, body.clone()).is_ok() {
                        let (now, span) = (self.world.now, self.span(node));
                        self.program(node).has_sent(now, span, ContextId::DEFAULT, &body);
                        last[node] = Some(body);
                    }
                }
                through[node] |= !speaks || !self.has_peer(node);
            }
            if through.iter().zip(&self.programs).all(|(through, program)| *through || program.is_none())
                && self.all_linked()
            {
                return;
            }
            self.world.advance(Duration::from_millis(5));
            self.tend();
        }
        let dumb: Vec<usize> =
            (0..through.len()).filter(|node| !through[*node] && self.programs[*node].is_some()).collect();
        panic!("the faults are over, and nothing gets through from {dumb:?}; all linked: {}", self.all_linked());
    }

    /// Receives everything and answers everything.
    fn drain(&mut self, node: usize) {
        let Some(program) = &self.programs[node] else { return };
        let answers = matches!(program.kind, Kind::Rep | Kind::Respondent);
        while self.try_recv(node, ContextId::DEFAULT) {
            self.hear();
            if answers && let Some(asked) = self.program(node).asked.get(&ContextId::DEFAULT).cloned() {
                let kind = self.program(node).kind;
                let body = self.ledger.write(node, kind, "", 0, Some(&asked.body));
                if self.world.try_send(node, ContextId::DEFAULT, body.clone()).is_ok() {
                    self.program(node).asked.remove(&ContextId::DEFAULT);
                }
                self.hear();
            }
        }
        self.hear();
    }

    /// Has somebody got it, or, if it is a question, has an answer come?
    fn came_through(&self, node: usize, kind: Kind, body: &Bytes) -> bool {
        let has = |program: &Program| program.received.contains(body);
        match kind {
            Kind::Req => !self.programs[node].as_ref().unwrap().asked.contains_key(&ContextId::DEFAULT),
            Kind::Surveyor => {
                let mut received = self.programs[node].as_ref().unwrap().received.iter();
                received.any(|answer| answer.ends_with(&[b" re ", &body[..]].concat()))
            }
            _ => self.programs.iter().flatten().any(has),
        }
    }

    /// Is it connected to somebody who listens?
    fn has_peer(&self, node: usize) -> bool {
        let linked = |node: usize| {
            let ends = self.world.up().into_iter().map(|number| &self.world.connections[number].ends);
            let ends = ends.filter_map(move |[a, b]| match (a.node == node, b.node == node) {
                (true, false) => Some(b.node),
                (false, true) => Some(a.node),
                _ => None,
            });
            ends.collect::<Vec<usize>>()
        };
        linked(node).into_iter().any(|peer| {
            self.programs[peer].is_some()
                || self.world.devices.iter().any(|relay| {
                    let other = match relay.second {
                        None => peer,
                        Some(second) if second == peer => relay.first,
                        Some(second) if relay.first == peer => second,
                        Some(_) => return false,
                    };
                    linked(other).into_iter().any(|peer| peer != node)
                })
        })
    }

    /// Are all links up, but those which one side refuses?
    fn all_linked(&self) -> bool {
        self.links.iter().all(|link| {
            let up = link.connection.is_some_and(|(connection, _)| {
                self.world.connections[connection].ends.iter().all(|end| end.alive && end.pipe.is_some())
            });
            let full = |node: &usize| {
                let socket = &self.world.nodes[*node].socket;
                let most = match socket.kind() {
                    Kind::Pair | Kind::Pair1 => 1,
                    _ => socket.options().max_pipes,
                };
                let up = socket.stats().pipes_up - socket.stats().pipes_down;
                up >= most as u64 || socket.pipe_count() >= socket.options().max_pipes
            };
            up || link.nodes.iter().any(full)
        })
    }

    /// Nothing is left of what is over: no pipes, no conversations, no waiting tickets, no timers.
    fn wind_up(&mut self) {
        for number in 0..self.world.connections.len() {
            self.world.break_off(number);
            self.hear();
        }
        for node in 0..self.world.nodes.len() {
            self.drain(node);
            let Some(program) = &self.programs[node] else { continue };
            if !matches!(program.kind, Kind::Req | Kind::Surveyor) {
                assert_eq!(self.world.nodes[node].socket.pipe_count(), 0, "node {node}: a pipe is left");
            }
            assert_eq!(self.world.nodes[node].socket.unsent(), 0);
            let limit = self.world.nodes[node].socket.options().max_contexts;
            if self.world.open(node).is_ok() {
                for _ in 2..limit {
                    self.world.open(node).expect("conversations that are over leave room for others");
                }
                assert!(self.world.open(node).is_err(), "there are no more than allowed");
            }
        }
        for node in 0..self.world.nodes.len() {
            self.world.close(node);
        }
        self.hear();
        self.world.advance(Duration::from_secs(3_600));
        for (number, node) in self.world.nodes.iter().enumerate() {
            assert!(
                node.issued.iter().all(|ticket| node.answers.contains_key(ticket)),
                "node {number}: a ticket waits"
            );
            assert_eq!(node.socket.poll_timeout(), None, "node {number}: a timer is left");
        }
    }

    fn hash(&self) -> u64 {
        let mut hash = Hash(std::hash::DefaultHasher::new());
        write!(hash, "{:?}", self.world.story).unwrap();
        for node in &self.world.nodes {
            write!(hash, "{:?}", node.socket.stats()).unwrap();
        }
        hash.0.finish()
    }

    fn program(&mut self, node: usize) -> &mut Program {
        self.programs[node].as_mut().unwrap()
    }

    fn span(&self, node: usize) -> Duration {
        self.world.nodes[node].socket.options().survey_deadline
    }

    fn any_connection(&mut self) -> Option<usize> {
        let alive = |number: &usize| self.world.connections[*number].ends.iter().any(|end| end.alive);
        let alive: Vec<usize> = (0..self.world.connections.len()).filter(alive).collect();
        alive.choose(&mut self.luck).copied()
    }

    /// Over two connections to the same device what a BUS sends would come back.
    fn may_be_doubled(&self) -> bool {
        self.world.devices.is_empty() && self.world.connections.len() < 40
    }
}

/// Whoever asks for one seed wants to know what happened.
impl Drop for Sim {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("SEED").is_some() {
            for (number, node) in self.world.nodes.iter().enumerate() {
                eprintln!(
                    "node {number} is a {}{}",
                    if node.socket.is_raw() { "raw " } else { "" },
                    node.socket.kind()
                );
            }
            for (at, happening) in &self.world.story {
                eprintln!("{:>12} {happening:?}", at.as_nanos());
            }
        }
    }
}

struct Hash(std::hash::DefaultHasher);

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

const TOPICS: [&str; 4] = ["", "a", "ab", "b"];
const RECONNECT_MAX: Duration = Duration::from_millis(40);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(50);
/// Of five milliseconds each: as long as two reconnects and two handshakes may take, many times over.
const ROUNDS: usize = 200;
