//! Who takes part in a run: some conversations, some inboxes, and a seat for everybody at each.

use std::collections::{BTreeMap, BTreeSet};

use restante_spec::message::MailboxClass;

use super::client::Client;
use super::ledger::Place;
use super::random::Random;
use super::town::{Mailbox, Role, Seat, Town};

/// The people of a run: some conversations, some inboxes, and who takes part.
pub(crate) fn settle_town(random: &mut Random) -> (Town, Vec<Client>) {
    let mut town = Town {
        mailboxes: Vec::new(),
        seats: Vec::new(),
        commits: BTreeMap::new(),
        epochs: BTreeMap::new(),
        struck: BTreeSet::new(),
    };
    let people = random.within(3, 6);
    let mut clients: Vec<_> = (0..people).map(|_| Client::default()).collect();
    let clients_in_all = clients.len();
    let (conversations, inboxes) = (random.within(1, 2), random.within(1, 2));
    for number in 0..conversations + inboxes {
        let is_inbox = number >= conversations;
        let class = if is_inbox { MailboxClass::Inbox } else { MailboxClass::Conversation };
        let ttl = random.weighted(&[(2, 60), (3, 600), (3, 7_200), (2, 14 * 86_400)]);
        let place = Place(town.mailboxes.len());
        town.mailboxes.push(Mailbox::new(class, ttl, random));
        let creator = random.index(clients.len());
        for (client, seats) in clients.iter_mut().enumerate() {
            let role = match (is_inbox, client == creator) {
                (false, _) => Role::Member,
                (true, true) => Role::Owner,
                (true, false) if client == (creator + 1) % clients_in_all => Role::Device,
                (true, false) => Role::Writer,
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
