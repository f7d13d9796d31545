//! What the operating system gives a world: its time, and its luck.

use std::sync::OnceLock;
use std::time::Instant;

use sp_proto::Time;

/// Now: nanoseconds since this process first asked.
pub fn now() -> Time {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let beginning = *BEGINNING.get_or_init(Instant::now);
    // The first moment is one nanosecond, so that nothing happens at zero by accident.
    Time::from_nanos(1 + beginning.elapsed().as_nanos() as u64)
}

/// A seed that no other program can guess.
pub(crate) fn entropy() -> u64 {
    let mut bytes = [0; 8];
    // It cannot fail for so few bytes (getrandom(2)); if it did, ids would be guessable, and nothing else wrong.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
