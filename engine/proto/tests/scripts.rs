//! Stories: commands in a text file, and under them what happened.
//!
//! A file in `scripts/<protocol>/` is a sequence of blocks. Each begins with commands, one a line; `----` ends them, and
//! the lines that follow, up to an empty one, tell what they led to. Lines that begin with `#` are for the reader. With
//! `REWRITE=1` in the environment the stories are written anew; review the difference.
//!
//! | command | what it does |
//! |---|---|
//! | `push A`, `pull A`, … | makes a socket of this kind; options behind it, such as `send_queue=1 resend=5s` |
//! | `raw push A`, … | makes a raw one |
//! | `device A B`, `device A` | makes a device of two raw sockets, or of one bus |
//! | `connect A B` | joins them; `send=1 recv=2` are priorities that A's endpoint has for B, `when_full=drop-old` what it does when B is slow |
//! | `break A B` | both ends notice, and what is under way is lost |
//! | `hang-up A B` | A closes the connection; what it has transmitted still arrives |
//! | `hold A B`, `free A B` | the connection takes nothing from A, or again what A has |
//! | `restart A`, `close A` | its process is killed and started again; it closes as it should |
//! | `send A "text"`, `recv A` | with `in=1` in another conversation, `by=5ms` with a deadline, `as=NAME` by this name |
//! | `cancel A NAME` | takes an operation back |
//! | `give-back A "text"` | as one does whose receiver was cancelled too late |
//! | `open A`, `end A 1` | opens and ends conversations |
//! | `subscribe A "text"`, `unsubscribe A "text"` | with `in=1` in another conversation |
//! | `survey-deadline A 5ms` | how long the surveys of a conversation run from now on |
//! | `arrives A B 12345678 80000001 "text"` | a message as it stands on the wire arrives at A from B; `r1` is the id of the first request |
//! | `wait 5s` | time passes |
//! | `stats A` | its counters, those that are not zero; `stats A B` those of its pipe to B |

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use common::{Happening, World, text};
use sp_proto::{Answer, ContextId, EndpointOptions, Event, Kind, Options, Priority, Ticket, Time};

#[test]
fn bus() {
    run_all("bus", 6);
}

#[test]
fn device() {
    run_all("device", 8);
}

#[test]
fn pair() {
    run_all("pair", 9);
}

#[test]
fn pipeline() {
    run_all("pipeline", 17);
}

#[test]
fn pubsub() {
    run_all("pubsub", 14);
}

#[test]
fn reqrep() {
    run_all("reqrep", 20);
}

#[test]
fn survey() {
    run_all("survey", 13);
}

/// Plays every story of a protocol, of which there are at least so many.
fn run_all(protocol: &str, at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(protocol);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= at_least, "there are only {} stories in {}", files.len(), folder.display());
    let rewrites = std::env::var_os("REWRITE").is_some();
    let mut differences = String::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        assert!(expected.starts_with("# "), "{}: a story begins with its situation", file.display());
        let told = tell(&expected).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
        if rewrites {
            fs::write(&file, told).unwrap();
        } else if told != expected {
            write!(differences, "\n{}\n{}", file.display(), difference(&expected, &told)).unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}\nREWRITE=1 writes the stories anew");
}

/// Plays a script and puts what happens in the place of what was expected.
fn tell(script: &str) -> Result<String, String> {
    let mut stage = Stage::new();
    let mut told = String::new();
    let mut is_expectation = false;
    let mut story = String::new();
    for (number, line) in script.lines().enumerate() {
        if line.is_empty() {
            is_expectation = false;
        }
        if is_expectation {
            continue;
        }
        writeln!(told, "{line}").unwrap();
        if line == "----" {
            is_expectation = true;
            let story = std::mem::take(&mut story);
            told.push_str(if story.is_empty() { "nothing\n" } else { &story });
        } else if !line.is_empty() && !line.starts_with('#') {
            let result = stage.obey(line).map_err(|problem| format!("line {}: {problem}", number + 1))?;
            stage.recount(&mut story);
            story.push_str(&result);
        }
    }
    Ok(told)
}

/// The lines in which two texts differ, with those in front that they share.
fn difference(expected: &str, told: &str) -> String {
    let (expected, told): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), told.lines().collect());
    let same = expected.iter().zip(&told).take_while(|(one, two)| one == two).count();
    let mut text = String::new();
    for line in &expected[same.saturating_sub(6)..same] {
        writeln!(text, "  {line}").unwrap();
    }
    for (sign, lines) in [('-', &expected), ('+', &told)] {
        for line in lines[same..].iter().take(10) {
            writeln!(text, "{sign} {line}").unwrap();
        }
    }
    text
}

/// The world of a script, and the names that it uses.
#[derive(Debug)]
struct Stage {
    world: World,
    names: Vec<String>,
    tickets: BTreeMap<(usize, Ticket), String>,
    /// Ids of requests, in the order in which they were first seen.
    ids: Vec<u32>,
    /// How much of the world's story has been told, and up to when.
    told: usize,
    moment: Time,
}

/// A command: its words, its text and its options.
struct Command<'a> {
    words: Vec<&'a str>,
    text: &'a str,
    options: BTreeMap<&'a str, &'a str>,
}

impl Stage {
    fn new() -> Stage {
        let (names, tickets) = (vec![], BTreeMap::new());
        let mut world = World::new(7);
        world.curious = false;
        Stage { world, names, tickets, ids: vec![], told: 0, moment: Time::ZERO }
    }

    /// Does what a line says; returns what is to be told beside what happens in the world.
    fn obey(&mut self, line: &str) -> Result<String, String> {
        let command = Command::parse(line)?;
        match (command.words[0], &command.words[1..]) {
            (kind, [name]) if kind.parse::<Kind>().is_ok() => {
                let kind: Kind = kind.parse()?;
                self.names.push((*name).to_owned());
                self.world.add(kind, &command.machine()?);
            }
            ("raw", [kind, name]) => {
                let kind: Kind = kind.parse()?;
                self.names.push((*name).to_owned());
                self.world.add_raw(kind, &command.machine()?);
            }
            ("device", [a, rest @ ..]) if rest.len() < 2 => {
                let second = rest.first().map(|b| self.node(b)).transpose()?;
                if let Err(error) = self.world.relay(self.node(a)?, second) {
                    return Ok(format!("{error}\n"));
                }
                self.world.settle();
            }
            ("connect", [a, b]) => {
                let nodes = [self.node(a)?, self.node(b)?];
                self.world.connect_with(nodes, [command.endpoint()?, EndpointOptions::default()]);
            }
            ("break", [a, b]) => {
                let (connection, _) = self.connection(a, b)?;
                self.world.break_off(connection);
            }
            ("hang-up", [a, b]) => {
                let (connection, side) = self.connection(a, b)?;
                self.world.hang_up(connection, side);
            }
            (verb @ ("hold" | "free"), [a, b]) => {
                let (connection, side) = self.connection(a, b)?;
                self.world.hold(connection, side, verb == "hold");
            }
            ("restart", [a]) => {
                let node = self.node(a)?;
                self.world.restart(node);
            }
            ("close", [a]) => {
                let node = self.node(a)?;
                self.world.close(node);
            }
            (verb @ ("send" | "recv"), [a]) => {
                let node = self.node(a)?;
                let deadline = command.deadline(self.world.now)?;
                let context = command.context()?;
                // The story must know the name before the answer.
                let number = self.world.nodes[node].issued.len() as u64 + 1;
                let name = command.options.get("as").map_or_else(|| format!("{verb} {number}"), ToString::to_string);
                self.tickets.insert((node, Ticket::from_number(2 * number + u64::from(verb == "send"))), name.clone());
                let ticket = if verb == "send" {
                    self.world.submit_send(node, context, Bytes::copy_from_slice(command.text.as_bytes()), deadline)
                } else {
                    self.world.submit_recv(node, context, deadline)
                };
                if self.world.answer(node, ticket).is_none() {
                    return Ok(format!("{a}: {name} waits\n"));
                }
            }
            ("cancel", [a, name]) => {
                let node = self.node(a)?;
                let named = |((owner, _), other): &(&(usize, Ticket), &String)| *owner == node && other == name;
                let ((_, ticket), _) =
                    self.tickets.iter().find(named).ok_or_else(|| format!("{a} has no operation {name}"))?;
                if !self.world.cancel(node, *ticket) {
                    return Ok(format!("{a}: {name} is answered already\n"));
                }
            }
            ("give-back", [a]) => {
                let node = self.node(a)?;
                self.world.put_back(node, command.context()?, Bytes::copy_from_slice(command.text.as_bytes()));
            }
            ("open", [a]) => {
                let node = self.node(a)?;
                return Ok(match self.world.open(node) {
                    Ok(context) => format!("{a}: conversation {context}\n"),
                    Err(error) => format!("{a}: {error}\n"),
                });
            }
            ("end", [a, context]) => {
                let node = self.node(a)?;
                self.world.end(node, ContextId::from_number(parse("a conversation", context)?));
            }
            (verb @ ("subscribe" | "unsubscribe"), [a]) => {
                let (node, context, prefix) = (self.node(a)?, command.context()?, command.text.as_bytes());
                let result = match verb {
                    "subscribe" => self.world.subscribe(node, context, prefix),
                    _ => self.world.unsubscribe(node, context, prefix),
                };
                if let Err(error) = result {
                    return Ok(format!("{a}: {error}\n"));
                }
            }
            ("survey-deadline", [a, span]) => {
                let (node, context) = (self.node(a)?, command.context()?);
                let result = self.world.nodes[node].socket.set_survey_deadline(context, duration(span)?);
                result.map_err(|error| error.to_string())?;
            }
            ("arrives", [a, b, words @ ..]) => {
                let (connection, side) = self.connection(a, b)?;
                let words: Vec<u32> = words.iter().map(|word| self.word(word)).collect::<Result<_, _>>()?;
                self.world.inject(connection, side, &words, command.text.as_bytes());
            }
            ("wait", [span]) => self.world.advance(duration(span)?),
            ("stats", [a]) => {
                let socket = &self.world.nodes[self.node(a)?].socket;
                let rows = socket.stats().rows().into_iter().chain([("unsent", socket.unsent() as u64)]);
                return Ok(format!("{a}: {}\n", counters(rows)));
            }
            ("stats", [a, b]) => {
                let (connection, side) = self.connection(a, b)?;
                let end = &self.world.connections[connection].ends[side];
                let stats = end.pipe.and_then(|pipe| self.world.nodes[end.node].socket.pipe_stats(pipe));
                let stats = stats.ok_or_else(|| format!("{a} has no pipe to {b}"))?;
                return Ok(format!("{a} to {b}: {}\n", counters(stats.rows())));
            }
            _ => return Err(format!("unknown command, or not its arguments: {line}")),
        }
        Ok(String::new())
    }

    /// Tells what has happened in the world since last time.
    fn recount(&mut self, story: &mut String) {
        let news = self.world.story[self.told..].to_vec();
        for (moment, happening) in news {
            if moment != self.moment {
                self.moment = moment;
                writeln!(story, "at {:?}:", moment - Time::ZERO).unwrap();
            }
            let line = self.line(&happening);
            writeln!(story, "{line}").unwrap();
        }
        self.told = self.world.story.len();
    }

    fn line(&mut self, happening: &Happening) -> String {
        let name = |node: &usize| &self.names[*node];
        match happening {
            Happening::Event { node, peer, event: Event::PipeUp { .. } } => {
                format!("{}: the pipe to {} is up", name(node), name(peer))
            }
            Happening::Event { node, peer, event: Event::PipeDown { reason, .. } } => {
                format!("{}: the pipe to {} is down: {reason}", name(node), name(peer))
            }
            Happening::Refused { node, peer, refused } => {
                format!("{}: {} is refused: {refused}", name(node), name(peer))
            }
            Happening::Answer { node, ticket, answer } => {
                let ticket = &self.tickets[&(*node, *ticket)];
                let outcome = match answer {
                    Answer::Sent => "is done".to_owned(),
                    Answer::Room => "may try again".to_owned(),
                    Answer::Received(message) => format!("gets {:?}", text(&message.body)),
                    Answer::Failed(error) => format!("fails: {error}"),
                };
                format!("{}: {ticket} {outcome}", name(node))
            }
            Happening::Message { from, to, wire } => {
                let (from, to, kind) = (name(from).clone(), name(to).clone(), self.world.nodes[*from].socket.kind());
                format!("{from} -> {to}: {}", self.message(kind, wire))
            }
        }
    }

    /// A message on the wire: ids by the order of their first appearance.
    fn message(&mut self, kind: Kind, wire: &[u8]) -> String {
        let mut rest = wire;
        let mut line = String::new();
        if kind == Kind::Pair1
            && let Some((hops, behind)) = rest.split_first_chunk()
        {
            return format!("hops {} {:?}", u32::from_be_bytes(*hops), text(behind));
        }
        while matches!(kind, Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent)
            && let Some((word, behind)) = rest.split_first_chunk()
        {
            rest = behind;
            let word = u32::from_be_bytes(*word);
            if word >> 31 == 0 {
                match self.pipe_name(word) {
                    Some(name) => write!(line, "<{name}> ").unwrap(),
                    None => write!(line, "{word:08x} ").unwrap(),
                }
                continue;
            }
            let place = self.ids.iter().position(|id| *id == word).unwrap_or(self.ids.len());
            if place == self.ids.len() {
                self.ids.push(word);
            }
            write!(line, "r{} ", place + 1).unwrap();
            break;
        }
        format!("{line}{:?}", text(rest))
    }

    /// Whom a routing word stands for: `a>b` is the pipe of a to b. What no pipe is called stays a number.
    fn pipe_name(&self, word: u32) -> Option<String> {
        let ends = self.world.connections.iter().rev().flat_map(|connection| {
            let [one, two] = &connection.ends;
            [(one, two), (two, one)]
        });
        let is_it = |end: &common::End| {
            end.pipe.is_some_and(|pipe| pipe.word() == word) && self.world.nodes[end.node].socket.is_raw()
        };
        let (end, peer) = ends.into_iter().find(|(end, _)| is_it(end))?;
        Some(format!("{}>{}", self.names[end.node], self.names[peer.node]))
    }

    fn node(&self, name: &str) -> Result<usize, String> {
        self.names.iter().position(|other| other == name).ok_or_else(|| format!("there is no socket {name}"))
    }

    /// The last connection between two sockets, and which side the first one is.
    fn connection(&self, a: &str, b: &str) -> Result<(usize, usize), String> {
        let nodes = [self.node(a)?, self.node(b)?];
        let side = |connection: &usize| {
            let ends = &self.world.connections[*connection].ends;
            [0, 1].into_iter().find(|side| [ends[*side].node, ends[1 - side].node] == nodes)
        };
        let found = self.world.up().into_iter().rev().find_map(|connection| Some((connection, side(&connection)?)));
        found.ok_or_else(|| format!("{a} and {b} are not connected"))
    }

    /// A header word: in hexadecimal, or the id of a request.
    fn word(&self, word: &str) -> Result<u32, String> {
        match word.strip_prefix('r') {
            Some(place) => {
                let place: usize = parse("a request", place)?;
                self.ids.get(place.wrapping_sub(1)).copied().ok_or_else(|| format!("no request {word} was seen"))
            }
            None => u32::from_str_radix(word, 16).map_err(|error| format!("{word}: {error}")),
        }
    }
}

impl Command<'_> {
    fn parse(line: &str) -> Result<Command<'_>, String> {
        let (before, text, behind) = match line.split('"').collect::<Vec<_>>()[..] {
            [all] => (all, "", ""),
            [before, text, behind] => (before, text, behind),
            _ => return Err(format!("a text stands between two quotation marks: {line}")),
        };
        let all = before.split_whitespace().chain(behind.split_whitespace());
        let (options, words): (Vec<&str>, Vec<&str>) = all.partition(|word| word.contains('='));
        let options = options.into_iter().filter_map(|option| option.split_once('=')).collect();
        Ok(Command { words, text, options })
    }

    fn context(&self) -> Result<ContextId, String> {
        let number = self.options.get("in").map_or(Ok(0), |number| parse("in", number))?;
        Ok(ContextId::from_number(number))
    }

    fn deadline(&self, now: Time) -> Result<Option<Time>, String> {
        self.options.get("by").map(|span| Ok(now + duration(span)?)).transpose()
    }

    fn endpoint(&self) -> Result<EndpointOptions, String> {
        let priority = |name| match self.options.get(name) {
            Some(level) => Priority::new(parse(name, level)?).map_err(|error| error.to_string()),
            None => Ok(Priority::default()),
        };
        Ok(EndpointOptions {
            send_priority: priority("send")?,
            recv_priority: priority("recv")?,
            when_full: self.options.get("when_full").map(|name| parse("when_full", name)).transpose()?,
        })
    }

    fn machine(&self) -> Result<Options, String> {
        let mut options = Options::default();
        for (name, value) in &self.options {
            match *name {
                "send_queue" => options.send_queue = parse(name, value)?,
                "recv_queue" => options.recv_queue = parse(name, value)?,
                "queue_bytes" => options.queue_bytes = parse(name, value)?,
                "max_message" => options.max_message = parse(name, value)?,
                "max_contexts" => options.max_contexts = parse(name, value)?,
                "max_answers" => options.max_answers = parse(name, value)?,
                "max_pipes" => options.max_pipes = parse(name, value)?,
                "ttl" => options.ttl = parse(name, value)?,
                "max_subscriptions" => options.max_subscriptions = parse(name, value)?,
                "instant_resends" => options.instant_resends = parse(name, value)?,
                "when_full" => options.when_full = Some(parse(name, value)?),
                "resend" => options.resend = duration(value)?,
                "survey_deadline" => options.survey_deadline = duration(value)?,
                "reconnect_min" => options.reconnect_min = duration(value)?,
                "reconnect_max" => options.reconnect_max = duration(value)?,
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(options)
    }
}

/// The counters that are worth telling.
fn counters(rows: impl IntoIterator<Item = (&'static str, u64)>) -> String {
    let rows = rows.into_iter().filter(|(name, value)| *value > 0 && !name.ends_with("bytes"));
    rows.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// A whole number with its unit: `5ms`.
fn duration(span: &str) -> Result<Duration, String> {
    let unit = span.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = parse("a time", &span[..span.len() - unit.len()])?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "us" => Ok(Duration::from_micros(number)),
        "ns" => Ok(Duration::from_nanos(number)),
        _ => Err(format!("{span} needs a unit: s, ms, us or ns")),
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{what}: {text:?}: {error}"))
}
