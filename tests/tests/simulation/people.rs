//! Who takes part in a run: some conversations, some inboxes, perhaps a room, and a seat for
//! everybody at each.

use std::collections::{BTreeMap, BTreeSet};

use restante_spec::message::MailboxClass;

use super::client::Client;
use super::ledger::Place;
use super::random::Random;
use super::town::{Mailbox, Role, Seat, Town};

/// The people of a run, and who takes part in what; a room keeps `tail` envelopes.
pub(crate) fn settle_town(random: &mut Random, tail: usize) -> (Town, Vec<Client>) {
    let mut town = Town {
        mailboxes: Vec::new(),
        seats: Vec::new(),
        commits: BTreeMap::new(),
        epochs: BTreeMap::new(),
        tail,
        struck: BTreeSet::new(),
        blobs: random.permille(500).then(Vec::new),
    };
    let people = random.within(3, 6);
    let mut clients: Vec<_> = (0..people).map(|_| Client::default()).collect();
    let clients_in_all = clients.len();
    let classes = [
        (MailboxClass::Conversation, random.within(1, 2)),
        (MailboxClass::Inbox, random.within(1, 2)),
        (MailboxClass::Room, random.within(0, 1)),
    ];
    let classes = classes.map(|(class, count)| vec![class; usize::try_from(count).unwrap()]);
    for class in classes.concat() {
        let ttl = random.weighted(&[(2, 60), (3, 600), (3, 7_200), (2, 14 * 86_400)]);
        let place = Place(town.mailboxes.len());
        town.mailboxes.push(Mailbox::new(class, ttl, random));
        let creator = random.index(clients.len());
        for (client, seats) in clients.iter_mut().enumerate() {
            let role = match class {
                MailboxClass::Conversation => Role::Member,
                _ if client == creator => Role::Owner,
                _ if client == (creator + 1) % clients_in_all => Role::Device,
                _ => Role::Writer,
            };
            let seat = town.seats.len();
            seats.seats.push(seat);
            town.seats.push(Seat::new(place, role, random));
            if client == creator {
                town.mailboxes[place.0].creator = seat;
            }
        }
    }
    (town, clients)
}
