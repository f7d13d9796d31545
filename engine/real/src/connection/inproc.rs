//! A connection within the process: messages are handed over whole. Small ones of a flood travel many in one piece, encoded
//! as they would be on a wire: to copy them is cheaper than to free on one processor what was allocated on another.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sp_proto::{DownReason, Message, PeerFault, PipeId, Socket, Time, wire};

use super::{Found, HELD_AT_ONCE, Phase};
use crate::bell::Bell;
use crate::codec::Codec;
use crate::transport::inproc::{Parcel, Stream};

#[derive(Debug)]
pub(super) struct InprocWay {
    pub(super) codec: Codec,
    /// Messages have been read that the machine has not been told of: the program can take them as they are.
    pub(super) ripe: bool,
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    /// Messages in it.
    held: usize,
    /// The other side has to take something first.
    full: bool,
}

impl InprocWay {
    pub(super) fn new(stream: Stream, codec: Codec) -> InprocWay {
        InprocWay { codec, ripe: false, stream, input: BytesMut::new(), output: BytesMut::new(), held: 0, full: false }
    }

    /// Messages that were taken from the machine and not handed over.
    pub(super) fn unsent(&self) -> usize {
        self.held
    }

    /// May a small message be added to what will be handed over next? No more are held back than a queue of `most` would
    /// hold.
    pub(super) fn takes(&self, most: usize) -> bool {
        !self.full && self.held < most && self.output.len() < HELD_AT_ONCE
    }

    /// Adds one.
    pub(super) fn hold(&mut self, body: &[u8]) {
        self.codec.put_body(body, &mut self.output);
        self.held += 1;
    }

    /// Hands over what the machine has to transmit, as far as there is room. A bell that is given back has to sound.
    pub(super) fn transmit(&mut self, now: Time, socket: &mut Socket, pipe: PipeId) -> Option<Arc<Bell>> {
        let (output, held) = (&mut self.output, &mut self.held);
        let (bell, full) = self.stream.put(|| match std::mem::take(held) {
            0 => socket.poll_transmit(now, pipe).map(Parcel::Message),
            count => Some(Parcel::Frames(output.split(), count)),
        });
        self.full = full;
        bell
    }

    /// Nothing more is delivered, as when the process is killed.
    pub(super) fn abort(&mut self) {
        self.output.clear();
        self.held = 0;
        self.stream.abort();
    }

    /// Takes what is there and tells the machine, until there is nothing, or the machine has no room. If it `lends`, messages
    /// that may pass are left where they are.
    pub(super) fn read(
        &mut self,
        now: Time,
        socket: &mut Socket,
        phase: Phase,
        paused: &mut bool,
        lends: bool,
    ) -> Result<Found, DownReason> {
        let pipe = match phase {
            Phase::Up(pipe) => pipe,
            Phase::Knocking(_) => return Ok(Found::Nothing),
            Phase::Connecting | Phase::Greeting => return Ok(Found::Greeting(self.stream.peer().id())),
        };
        let limit = socket.options().max_message;
        let mut fresh = false;
        loop {
            self.codec.cut(&mut self.input).map_err(DownReason::Fault)?;
            self.digest(now, socket, pipe, paused, fresh);
            if *paused || self.ripe {
                break;
            }
            if !self.input.is_empty() {
                // It begins with a message that is too large.
                continue;
            }
            if !socket.admits(pipe) {
                *paused = true;
                break;
            }
            match self.stream.take() {
                Ok(Some(Parcel::Message(message))) if message.len() > wire::most_bytes(socket.kind(), limit) => {
                    return Err(DownReason::Fault(PeerFault::TooLarge { size: message.len() as u64, limit }));
                }
                Ok(Some(Parcel::Message(message))) => socket.handle_message(now, pipe, flatten(message)),
                Ok(Some(Parcel::Frames(frames, _))) => self.input = frames,
                Ok(None) => break,
                Err(_) => return Err(DownReason::Lost),
            }
            fresh = lends;
        }
        Ok(Found::Nothing)
    }

    /// Tells the machine of the messages that have been cut; fresh ones only if they may not pass.
    fn digest(&mut self, now: Time, socket: &mut Socket, pipe: PipeId, paused: &mut bool, fresh: bool) {
        self.ripe = false;
        while self.codec.peek().is_some() {
            if fresh && socket.passes_in(now, pipe) {
                self.ripe = true;
                return;
            }
            if !socket.admits(pipe) {
                *paused = true;
                return;
            }
            if let Some(wire) = self.codec.ready() {
                socket.handle_message(now, pipe, wire);
            }
        }
    }
}

/// What the machine expects from the wire: header words in front of the body.
fn flatten(message: Message) -> Bytes {
    if message.header.is_empty() {
        return message.body;
    }
    let mut whole = BytesMut::with_capacity(message.len());
    message.put(&mut whole);
    whole.freeze()
}
