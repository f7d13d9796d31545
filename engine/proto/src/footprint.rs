//! Footprints: where in memory the next calls of a socket will look.
//!
//! Nothing here changes what a socket does. Who works on very many sockets in turn, as a simulation does, waits for memory
//! most of the time, unless it asks for the memory of the next ones while it works on the present one.

use std::collections::VecDeque;

use bytes::Bytes;

/// Is told where a piece of memory begins, and how many bytes it has.
pub type Visit = fn(*const u8, usize);

/// Visits a value itself, not what it points to.
pub(crate) fn visit_value<T: ?Sized>(value: &T, visit: Visit) {
    visit(std::ptr::from_ref(value).cast(), size_of_val(value));
}

/// Visits a body and, in front of it, the count of those who share it.
pub fn visit_body(body: &Bytes, visit: Visit) {
    visit(body.as_ptr().wrapping_sub(32), 64);
}

/// Visits the beginning of what a queue holds, or of the room that an empty one has.
pub(crate) fn visit_queue<T>(queue: &VecDeque<T>, visit: Visit) {
    visit(queue.as_slices().0.as_ptr().cast(), MOST.min(queue.capacity() * size_of::<T>()));
}

/// Visits the beginning of what a vector holds.
pub(crate) fn visit_slice<T>(slice: &[T], visit: Visit) {
    visit(slice.as_ptr().cast(), MOST.min(size_of_val(slice)));
}

/// More of one queue is not looked at soon.
const MOST: usize = 128;
