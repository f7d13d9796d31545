//! What the operating system gives a world: its time, and its luck.

use rustix::time::{ClockId, clock_gettime};
use sp_proto::Time;

/// Now: nanoseconds of the monotonic clock, which begins at some moment in the past and is the same for all processes of
/// the machine.
pub fn now() -> Time {
    let time = clock_gettime(ClockId::Monotonic);
    Time::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// A seed that no other program can guess.
pub(crate) fn entropy() -> u64 {
    let mut bytes = [0; 8];
    // It cannot fail for so few bytes (getrandom(2)); if it did, ids would be guessable, and nothing else wrong.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
