//! Devices, and the raw sockets they are made of.

use sp_proto::{Device, DeviceError, Message};

use super::*;

#[test]
fn a_device_is_made_of_the_two_raw_ends_of_a_pattern() {
    let raw = |kind| Socket::new_raw(kind, Options::default(), 1).unwrap();
    for first in Kind::ALL {
        for second in Kind::ALL {
            let made = Device::between(&raw(first), &raw(second)).map(|_| ());
            let expected =
                if first.partner() == second { Ok(()) } else { Err(DeviceError::NotPartners { first, second }) };
            assert_eq!(made, expected);
        }
        let cooked = Socket::new(first, Options::default(), 1).unwrap();
        assert_eq!(Device::between(&cooked, &raw(first.partner())).unwrap_err(), DeviceError::NotRaw(first));
        assert_eq!(Device::between(&raw(first.partner()), &cooked).unwrap_err(), DeviceError::NotRaw(first));
        assert_eq!(Device::among_peers(&raw(first)).is_ok(), first == Kind::Bus);
    }
}

#[test]
fn a_question_crosses_as_many_devices_as_allowed_and_the_reply_finds_home() {
    for (devices, arrives) in [(0, true), (1, true), (7, true), (8, false)] {
        for kind in [Kind::Req, Kind::Surveyor] {
            let (mut world, [asker, replier]) = chain(kind, devices);
            world.try_send(asker, ContextId::DEFAULT, "far?").unwrap();
            let heard = world.try_recv(replier, ContextId::DEFAULT);
            assert_eq!(heard.is_ok(), arrives, "{kind} over {devices} devices");
            if arrives {
                world.try_send(replier, ContextId::DEFAULT, "so far").unwrap();
                assert_eq!(world.recv_all(asker), ["so far"]);
            } else {
                assert_eq!(world.nodes[replier].socket.stats().dropped_malformed, 1);
            }
        }
    }
}

#[test]
fn equal_ids_of_two_askers_are_told_apart_behind_a_device() {
    let mut world = World::new(1);
    let options = Options::default();
    let (front, back) = (world.add_raw(Kind::Rep, &options), world.add_raw(Kind::Req, &options));
    world.relay(front, Some(back)).unwrap();
    let replier = world.add(Kind::Rep, &options);
    world.connect(back, replier);
    let askers = ["one", "two"].map(|name| {
        let asker = world.add(Kind::Req, &options);
        (world.connect(front, asker), name)
    });
    for (connection, name) in askers {
        world.inject(connection, 0, &[0x8000_0007], name.as_bytes());
    }
    for (connection, name) in askers {
        assert_eq!(answer(&mut world, replier), name);
        let home = world.connections[connection].ends[1].arrived.last().unwrap();
        assert_eq!(home[..], *[b"\x80\0\0\x07re: ", name.as_bytes()].concat());
    }
}

#[test]
fn messages_in_a_ring_of_devices_die_at_the_hop_limit() {
    for (kind, ttl) in [(Kind::Req, 1), (Kind::Req, 8), (Kind::Surveyor, 5), (Kind::Req, 255)] {
        let options = Options { ttl, ..Options::default() };
        let mut world = World::new(1);
        let ring = [0; 3].map(|_| {
            let pair = [world.add_raw(kind.partner(), &options), world.add_raw(kind, &options)];
            world.relay(pair[0], Some(pair[1])).unwrap();
            pair
        });
        for (place, [_, back]) in ring.iter().enumerate() {
            world.connect(*back, ring[(place + 1) % 3][0]);
        }
        let asker = world.add(kind, &Options::default());
        world.connect(asker, ring[0][0]);
        world.try_send(asker, ContextId::DEFAULT, "round and round").unwrap();
        let forwarded: u64 = world.devices.iter().map(|relay| relay.device.stats().forwarded).sum();
        let dropped: u64 = ring.iter().map(|[front, _]| world.nodes[*front].socket.stats().dropped_malformed).sum();
        assert_eq!((forwarded, dropped), (ttl.into(), 1), "{kind}, ttl {ttl}");
    }
}

#[test]
fn a_pair_in_a_ring_dies_at_the_hop_limit() {
    for ttl in [1, 3, 255] {
        let options = Options { ttl, ..Options::default() };
        let mut world = World::new(1);
        let ring = [0; 2].map(|_| {
            let pair = [world.add_raw(Kind::Pair1, &options), world.add_raw(Kind::Pair1, &options)];
            world.relay(pair[0], Some(pair[1])).unwrap();
            pair
        });
        let first = world.connect(ring[0][1], ring[1][0]);
        world.connect(ring[1][1], ring[0][0]);
        world.inject(first, 1, &[1], b"round and round");
        let forwarded: u64 = world.devices.iter().map(|relay| relay.device.stats().forwarded).sum();
        if ttl == 255 {
            // The count has one byte; a device does not hand on what it cannot count.
            let dropped: u64 = world.devices.iter().map(|relay| relay.device.stats().dropped).sum();
            assert_eq!((forwarded, dropped), (254, 1));
        } else {
            let dropped: u64 = world.nodes.iter().map(|node| node.socket.stats().dropped_malformed).sum();
            assert_eq!((forwarded, dropped), (ttl.into(), 1), "ttl {ttl}");
        }
        assert_eq!(world.up().len(), 2, "the connections stay");
    }
}

#[test]
fn a_bus_device_hands_on_to_all_but_the_origin() {
    let mut world = World::new(1);
    let hub = world.add_raw(Kind::Bus, &Options::default());
    world.relay(hub, None).unwrap();
    let peers = [0; 3].map(|_| {
        let peer = world.add(Kind::Bus, &Options::default());
        world.connect(hub, peer);
        peer
    });
    for origin in peers {
        world.try_send(origin, ContextId::DEFAULT, format!("{origin}")).unwrap();
        for peer in peers {
            assert_eq!(world.recv_all(peer).len(), usize::from(peer != origin));
        }
    }
}

#[test]
fn a_device_between_two_buses_hands_on_to_everyone_on_the_other_side() {
    // The seeds are the same, so the pipes of both sides have the same names.
    let mut buses = [0; 2].map(|_| Socket::new_raw(Kind::Bus, Options::default(), 1).unwrap());
    let attachment = Attachment { peer: Kind::Bus.id(), endpoint: EndpointOptions::default() };
    let [there, here] = [0, 1].map(|side| buses[side].attach(Time::ZERO, attachment).unwrap());
    assert_eq!(there, here);
    let [one, two] = &mut buses;
    let mut device = Device::between(one, two).unwrap();
    one.handle_message(Time::ZERO, there, Bytes::from("hello"));
    assert!(device.forward(Time::ZERO, one, two));
    assert_eq!(two.poll_transmit(Time::ZERO, here), Some(Message::new("hello")));
    assert_eq!(one.poll_transmit(Time::ZERO, there), None);
}

#[test]
fn what_cannot_be_handed_on_is_held_and_fills_the_queues_behind() {
    let small = Options { send_queue: 1, recv_queue: 1, ..Options::default() };
    let mut world = World::new(1);
    let (push, pull) = (world.add(Kind::Push, &small), world.add(Kind::Pull, &Options::default()));
    let (front, back) = (world.add_raw(Kind::Pull, &small), world.add_raw(Kind::Push, &small));
    world.relay(front, Some(back)).unwrap();
    world.connect(push, front);
    let tickets: Vec<Ticket> =
        (0..20).map(|number| world.submit_send(push, ContextId::DEFAULT, format!("{number}"), None)).collect();
    assert_eq!(world.answer(push, *tickets.last().unwrap()), None, "it holds its sender back");
    world.connect(back, pull);
    assert_eq!(world.recv_all(pull), (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(world.devices[0].device.stats().forwarded, 20);
}

#[test]
fn a_raw_sub_gets_everything_and_hands_it_on() {
    let mut world = World::new(1);
    let (publisher, subscriber) =
        (world.add(Kind::Pub, &Options::default()), world.add(Kind::Sub, &Options::default()));
    let (front, back) = (world.add_raw(Kind::Sub, &Options::default()), world.add_raw(Kind::Pub, &Options::default()));
    world.relay(front, Some(back)).unwrap();
    world.connect(publisher, front);
    world.connect(back, subscriber);
    world.try_send(publisher, ContextId::DEFAULT, "news").unwrap();
    assert_eq!(world.recv_all(subscriber), ["news"]);
    assert_eq!(world.nodes[front].transmitted, 0);
}

#[test]
fn a_slow_asker_does_not_hold_up_a_device() {
    let mut world = World::new(1);
    let (front, back) = (
        world.add_raw(Kind::Rep, &Options { send_queue: 1, ..Options::default() }),
        world.add_raw(Kind::Req, &Options::default()),
    );
    world.relay(front, Some(back)).unwrap();
    let rep = world.add(Kind::Rep, &Options::default());
    world.connect(back, rep);
    let [slow, quick] = [0; 2].map(|_| world.add(Kind::Req, &Options::default()));
    let connection = world.connect(front, slow);
    world.connect(front, quick);
    world.hold(connection, 0, true);
    for asker in [slow, slow, quick] {
        let context = world.open(asker).unwrap();
        world.try_send(asker, context, "q").unwrap();
        answer(&mut world, rep);
    }
    let context = ContextId::from_number(1);
    assert_eq!(world.try_recv(quick, context), Ok(Bytes::from("re: q")));
    assert_eq!(world.nodes[front].socket.stats().dropped_full_new, 1);
}

#[test]
fn a_reply_to_an_asker_that_has_gone_is_counted() {
    let (mut world, [asker, replier]) = chain(Kind::Req, 1);
    world.try_send(asker, ContextId::DEFAULT, "q").unwrap();
    world.break_off(0);
    answer(&mut world, replier);
    let front = 1;
    assert_eq!(world.nodes[front].socket.stats().dropped_orphans, 1);
}

#[test]
fn a_header_is_for_raw_sockets_and_has_the_protocols_form() {
    let with = |words: &[u32]| Message { header: words.into(), body: Bytes::from("body") };
    for kind in Kind::ALL {
        let mut cooked = Socket::new(kind, Options::default(), 1).unwrap();
        let (error, message) = cooked.try_send_message(Time::ZERO, with(&[1])).unwrap_err();
        assert!(matches!(error, OpError::State(_)));
        assert_eq!(message, with(&[1]), "it comes back whole");

        let mut raw = Socket::new_raw(kind, Options::default(), 1).unwrap();
        assert!(raw.is_raw() && !cooked.is_raw());
        let too_long = with(&[1; 300]);
        assert!(matches!(raw.try_send_message(Time::ZERO, too_long), Err((OpError::State(_), _))));
        if !matches!(kind, Kind::Pair1 | Kind::Bus) {
            assert!(matches!(raw.try_send_message(Time::ZERO, with(&[1])), Err((OpError::State(_), _))), "{kind}");
        }
        if matches!(kind, Kind::Rep | Kind::Respondent) {
            for words in [[1, 2], [1 << 31, 1 << 31], [1 << 31, 2]] {
                let refused = raw.try_send_message(Time::ZERO, with(&words));
                assert!(matches!(refused, Err((OpError::State(_), _))), "{words:?} is no pipe and an id");
            }
        }
        assert!(matches!(raw.open_context(Time::ZERO), Err(OpError::State(_))));
        let bare = raw.try_send_message(Time::ZERO, with(&[]));
        let needs_header = matches!(kind, Kind::Req | Kind::Rep | Kind::Surveyor | Kind::Respondent);
        let refused = matches!(bare, Err((OpError::State(_), _)));
        assert_eq!(refused, needs_header || only_receives(kind), "{kind}");
    }
}

#[test]
fn a_raw_answer_waits_for_its_own_pipe_only() {
    let options = Options { send_queue: 1, when_full: Some(WhenFull::Block), ..Options::default() };
    let mut world = World::new(1);
    let [rep, one, two] =
        [world.add_raw(Kind::Rep, &options), world.add(Kind::Req, &options), world.add(Kind::Req, &options)];
    let connections = [one, two].map(|asker| world.connect(asker, rep));
    let asked = [one, two].map(|asker| {
        world.try_send(asker, ContextId::DEFAULT, "ask").unwrap();
        world.nodes[rep].socket.try_recv_message(world.now).unwrap()
    });
    for connection in connections {
        world.hold(connection, 1, true);
    }
    for message in &asked {
        world.nodes[rep].socket.try_send_message(world.now, message.clone()).unwrap();
    }
    let tickets = asked.map(|message| world.nodes[rep].socket.submit_send_message(world.now, message, None));
    world.nodes[rep].issued.extend(tickets);
    world.hold(connections[1], 1, false);
    assert_eq!(world.answer(rep, tickets[0]), None);
    assert_eq!(world.answer(rep, tickets[1]), Some(&Answer::Sent), "it does not wait behind the other");
}

#[test]
fn what_a_raw_socket_gives_back_it_receives_next_header_and_all() {
    let mut world = World::new(1);
    let (raw, asker) = (world.add_raw(Kind::Rep, &Options::default()), world.add(Kind::Req, &Options::default()));
    world.connect(raw, asker);
    let other = world.open(asker).unwrap();
    for context in [ContextId::DEFAULT, other] {
        world.try_send(asker, context, "q").unwrap();
    }
    let now = world.now;
    let socket = &mut world.nodes[raw].socket;
    let message = socket.try_recv_message(now).unwrap();
    assert_eq!(message.header.len(), 2);
    socket.put_back_message(now, ContextId::DEFAULT, message.clone());
    assert_eq!(socket.try_recv_message(now), Ok(message.clone()));
    let ticket = socket.submit_send_message(now, message, None);
    assert_eq!(socket.take_answer(ticket), Some(Answer::Sent));
    assert_eq!(socket.stats().received, 1);
}

proptest! {
    #![proptest_config(config(64))]

    /// Where nothing may be dropped, everything that crosses devices arrives, once and in order, however slow they are.
    #[test]
    fn what_crosses_devices_arrives_once_and_in_order(
        deeds in prop::collection::vec((0..4_u8, any::<usize>(), 0..2_usize), 1..100),
        kind in prop::sample::select(vec![Kind::Push, Kind::Pub, Kind::Pair, Kind::Pair1, Kind::Bus]),
        bound in 1..3_usize,
        devices in 1..3_usize,
    ) {
        let options = Options {
            send_queue: bound,
            recv_queue: bound,
            when_full: Some(WhenFull::Block),
            ..Options::default()
        };
        let (mut world, [sender, receiver]) = chain_with(kind, devices, &options);
        let (mut sent, mut taken) = (vec![], vec![]);
        for (deed, connection, side) in deeds {
            let connection = connection % world.connections.len();
            match deed {
                0 => world.hold(connection, side, true),
                1 => world.hold(connection, side, false),
                2 => {
                    sent.push(format!("{}", sent.len()));
                    world.submit_send(sender, ContextId::DEFAULT, sent.last().unwrap().clone(), None);
                }
                _ => taken.extend(world.try_recv(receiver, ContextId::DEFAULT).ok().map(|body| text(&body))),
            }
        }
        for connection in 0..world.connections.len() {
            (0..2).for_each(|side| world.hold(connection, side, false));
        }
        taken.extend(world.recv_all(receiver));
        prop_assert_eq!(taken, sent);
    }
}

/// An asking socket, so many devices, and one that replies.
fn chain(kind: Kind, devices: usize) -> (World, [usize; 2]) {
    chain_with(kind, devices, &Options::default())
}

/// The same, all with these options.
fn chain_with(kind: Kind, devices: usize, options: &Options) -> (World, [usize; 2]) {
    let mut world = World::new(1);
    let asker = world.add(kind, options);
    let mut last = asker;
    for _ in 0..devices {
        let (front, back) = (world.add_raw(kind.partner(), options), world.add_raw(kind, options));
        world.relay(front, Some(back)).unwrap();
        world.connect(last, front);
        last = back;
    }
    let replier = world.add(kind.partner(), options);
    world.connect(last, replier);
    (world, [asker, replier])
}
