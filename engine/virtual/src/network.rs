//! The network: sites, the links between and within them, who listens where, and the connections.

use std::collections::BTreeMap;

use sp_link::{Link, LinkOptions, Luck};
use sp_proto::EndpointOptions;

use crate::connection::{Connection, ConnectionId, Connections, Side};
use crate::error::WorldError;
use crate::ids::{HostId, SiteId, SocketId};

/// Sites and what connects them. Two hosts of one site share that site's own link, one direction for what dialers send
/// and one for what listeners send; two sites share one link in each direction.
#[derive(Debug)]
pub(crate) struct Network {
    luck: Luck,
    sites: Vec<String>,
    pub(crate) links: Vec<Link>,
    /// From which site to which, and what each side of a connection in this direction sends over.
    routes: BTreeMap<(SiteId, SiteId), [usize; 2]>,
    pub(crate) listeners: BTreeMap<String, Listening>,
    pub(crate) connections: Connections,
    pub(crate) traffic: Traffic,
}

/// Who listens at an address. The host stays known when the socket is gone: connecting there is refused, and the refusal
/// comes from where the host is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    pub(crate) host: HostId,
    pub(crate) socket: Option<SocketId>,
    pub(crate) endpoint: EndpointOptions,
}

/// Messages on the wire, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Arrived where nobody was any more, or under way when a connection broke.
    pub(crate) discarded: u64,
}

impl Network {
    pub(crate) fn new(luck: Luck) -> Network {
        Network {
            luck,
            sites: Vec::new(),
            links: Vec::new(),
            routes: BTreeMap::new(),
            listeners: BTreeMap::new(),
            connections: Connections::default(),
            traffic: Traffic::default(),
        }
    }

    pub(crate) fn add_site(&mut self, name: &str, within: LinkOptions) -> Result<SiteId, WorldError> {
        if self.sites.iter().any(|site| site == name) {
            return Err(WorldError::Taken { what: "site", name: name.to_owned() });
        }
        let site = SiteId(self.sites.len() as u32);
        let there = self.add_link(&format!("link/{name}/out"), within.clone())?;
        let back = self.add_link(&format!("link/{name}/back"), within)?;
        self.sites.push(name.to_owned());
        self.routes.insert((site, site), [there, back]);
        Ok(site)
    }

    /// Lays a link between two sites, alike in both directions.
    pub(crate) fn link(&mut self, a: SiteId, b: SiteId, options: LinkOptions) -> Result<(), WorldError> {
        let (from, to) = (self.site_name(a)?.to_owned(), self.site_name(b)?.to_owned());
        if self.routes.contains_key(&(a, b)) {
            return Err(WorldError::Taken { what: "link", name: format!("{from}-{to}") });
        }
        let there = self.add_link(&format!("link/{from}-{to}"), options.clone())?;
        let back = self.add_link(&format!("link/{to}-{from}"), options)?;
        self.routes.insert((a, b), [there, back]);
        self.routes.insert((b, a), [back, there]);
        Ok(())
    }

    pub(crate) fn site_name(&self, site: SiteId) -> Result<&str, WorldError> {
        match self.sites.get(site.index()) {
            Some(name) => Ok(name),
            None => Err(WorldError::Unknown { what: "site", number: site.0 }),
        }
    }

    pub(crate) fn site_names(&self) -> &[String] {
        &self.sites
    }

    /// What a dialer in `from` and a listener in `to` send over.
    pub(crate) fn route(&self, from: SiteId, to: SiteId) -> Option<[usize; 2]> {
        self.routes.get(&(from, to)).copied()
    }

    /// Both directions of the link between two sites.
    pub(crate) fn link_between(&self, a: SiteId, b: SiteId) -> Result<[usize; 2], WorldError> {
        let names = (self.site_name(a)?, self.site_name(b)?);
        self.route(a, b).ok_or_else(|| WorldError::NoLink(names.0.to_owned(), names.1.to_owned()))
    }

    /// Connections over any of these links.
    pub(crate) fn over(&self, links: &[usize]) -> Vec<ConnectionId> {
        let uses = |connection: &Connection| {
            [Side::Dialer, Side::Listener].into_iter().any(|side| links.contains(&connection.link(side)))
        };
        self.connections.iter().filter(|(_, connection)| uses(connection)).map(|(id, _)| id).collect()
    }

    /// Every message ever sent is delivered, discarded or still there, and every window is counted right. `arrived` are
    /// the messages that a program has not taken up yet: for which end, and how large.
    pub(crate) fn audit(&self, arrived: &[(ConnectionId, Side, usize)]) -> Result<(), String> {
        let travelling: u64 = self.connections.iter().map(|(_, connection)| connection.messages() as u64).sum();
        let there = travelling + arrived.len() as u64;
        let Traffic { sent, delivered, discarded } = self.traffic;
        if sent != delivered + discarded + there {
            return Err(format!(
                "{sent} messages were sent, but {delivered} delivered, {discarded} discarded and {there} under way"
            ));
        }
        for (id, connection) in self.connections.iter().filter(|(_, connection)| connection.is_up()) {
            for side in [Side::Dialer, Side::Listener] {
                let here = arrived.iter().filter(|(at, to, _)| (*at, *to) == (id, side.other()));
                let way = connection.way(side);
                let counted = way.recount(connection.end(side.other())) + here.map(|(_, _, size)| size).sum::<usize>();
                if way.unconsumed != counted {
                    return Err(format!("{id:?}: {side:?} counts {} bytes, there are {counted}", way.unconsumed));
                }
            }
        }
        Ok(())
    }

    fn add_link(&mut self, name: &str, options: LinkOptions) -> Result<usize, WorldError> {
        self.links.push(Link::new(options, self.luck.stream(name))?);
        Ok(self.links.len() - 1)
    }
}
