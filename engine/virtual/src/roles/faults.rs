//! Faults: what is done to a world.

use std::time::Duration;

use crate::ids::{HostId, SiteId};

/// One thing done to a host or to the link between two sites (within one, if both are the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host's program dies: see [`World::kill`](crate::World::kill).
    Kill(HostId),
    /// The host is gone, and its peers notice it so much later: see [`World::vanish`](crate::World::vanish).
    Vanish(HostId, Duration),
    /// It is started again.
    Restore(HostId),
    /// The link is silent.
    Cut(SiteId, SiteId),
    /// It speaks again.
    Heal(SiteId, SiteId),
    /// What the first sends to the second is not heard there; the other direction is as it was.
    Mute(SiteId, SiteId),
    /// It is heard again.
    Unmute(SiteId, SiteId),
    /// Every connection over the link is broken.
    Break(SiteId, SiteId),
}
