//! Three people with two devices each in one group, on a relay that keeps nothing for long and with
//! processes that are really there: one device is away for longer than that and comes back, and
//! one more is linked while the app is killed on both sides. All of them show one history.
//!
//! `RESTANTE_HISTORY` is how many messages there are, for more than CI's.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use restante_client::{ContactId, ConversationId, MessageKind, Standing};
use restante_spec::ids::UnixTime;
use restante_tests::app::{KILLS, sync_amid_kills};
use restante_tests::people::{Person, WITHIN, introduce, row};
use restante_tests::proxy::Proxy;
use restante_tests::relay::{Process, client_program};
use restante_tests::until::{until, until_contact, until_devices, until_standing};

/// Seconds this relay keeps what it is given.
const TTL: u64 = 12;
/// Messages when nothing else is said.
const MESSAGES: usize = 420;
/// What each device says before all of them take what is there.
const BATCH: usize = 10;
/// What each of the others says while one device is away.
const MISSED: usize = 20;

fn messages() -> usize {
    std::env::var("RESTANTE_HISTORY").map_or(MESSAGES, |text| text.parse().expect("a number"))
}

/// Until both devices of both are in a direct conversation, so that both are added to a group; no
/// event tells of that.
async fn until_both_are_known(person: &Person, of: ConversationId) {
    let wait = async {
        while person.client.members(of).await.unwrap().iter().any(|member| member.devices < 2) {
            person.collect().await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap();
}

/// The group, and the devices that are in it: each person's first, then each one's second.
struct Household {
    group: ConversationId,
    devices: Vec<Person>,
}

/// Where the devices of one person stand, and of another the one that goes away.
const PHONE: usize = 0;
const LAPTOP: usize = 3;
const AWAY: usize = 5;

impl Household {
    async fn meet(relay: &Process, proxy: &Proxy) -> (Self, [ContactId; 2]) {
        let alice = Person::new("Alice", proxy.address());
        let [bob, carol] = ["Bob", "Carol"].map(|name| Person::new(name, relay.address()));
        let (of_bob, _) = introduce(&alice, &bob).await;
        let (of_carol, _) = introduce(&alice, &carol).await;
        let mut devices = vec![alice, bob, carol];
        for first in 0..3 {
            devices.push(Person::linked(&devices[first], relay.address()).await);
        }
        for contact in [of_bob, of_carol] {
            until_contact(&devices[LAPTOP].client, contact).await;
            until_both_are_known(&devices[PHONE], contact.into()).await;
        }
        let group = devices[PHONE].client.create_group("Household", false).await.unwrap().id;
        until_devices(&devices[PHONE].client, group, &[2]).await;
        for (second, contact) in [(4, of_bob), (AWAY, of_carol)] {
            devices[PHONE].client.add_member(group, contact).await.unwrap();
            until_standing(&devices[second].client, group, Standing::Invited).await;
            devices[second].client.accept_group(group).await.unwrap();
        }
        for device in &devices {
            until_standing(&device.client, group, Standing::Open).await;
            until_devices(&device.client, group, &[2, 2, 2]).await;
        }
        (Self { group, devices }, [of_bob, of_carol])
    }

    /// Each of the first so many devices says something as often as `count`; then all of them take
    /// what is there.
    async fn talk(&self, there: usize, what: &str, count: usize) {
        join_all(self.devices.iter().take(there).enumerate().map(async |(at, device)| {
            for number in 0..count {
                let more = "some words of it ".repeat(number % 12);
                let text = format!("{what} {number} from {at}: {more}");
                device.client.send(self.group, &text).await.unwrap();
            }
        }))
        .await;
        self.collect(there).await;
    }

    async fn collect(&self, there: usize) {
        join_all(self.devices.iter().take(there).map(Person::collect)).await;
    }

    /// One device goes away for longer than the relay keeps anything, and comes back. Meanwhile the
    /// others say something and react to it; what they took back, or gave other words, it would
    /// never be given (CNV-18).
    async fn miss_and_return(&mut self) {
        let phone = &self.devices[PHONE].client;
        self.devices[AWAY].client.shutdown().await.unwrap();
        let gone = Instant::now() + Duration::from_secs(TTL + 1);
        self.talk(AWAY, "missed", MISSED).await;
        for message in phone.history(self.group, None, 8).await.unwrap() {
            phone.react(self.group, message.id, Some("+")).await.unwrap();
        }
        phone.set_group_name(self.group, "Another name").await.unwrap();
        while Instant::now() < gone {
            self.collect(AWAY).await;
        }
        self.devices[AWAY].reopen();
        self.devices[AWAY].client.connect().await.unwrap();
        self.settle("after").await;
    }

    /// Each device says something last, and waits until it has what all others said last and
    /// misses nothing: whoever has missed something hears of it so.
    async fn settle(&self, last: &str) {
        for device in &self.devices {
            device.client.send(self.group, last).await.unwrap();
        }
        for device in &self.devices {
            until(&device.client, "all of it", async |client| {
                let newest = client.history(self.group, None, 1_000).await.ok()?;
                let said = newest.iter().filter(|m| m.text == last && m.seq.is_some()).count();
                let gaps = client.gaps(self.group).await.ok()?;
                (said == self.devices.len() && gaps.is_empty()).then_some(())
            })
            .await;
        }
    }

    /// All devices show what people said in one order. Each has its own of these: how far a message
    /// has come, what is unread, and what happened to the group while it was not in it.
    async fn show_one_history(&self) -> usize {
        let mut all = Vec::new();
        for device in &self.devices {
            let me = device.client.own_id().await.unwrap();
            let mut said = device.history(self.group).await;
            said.retain(|message| message.kind != MessageKind::Event);
            let rows = said.iter_mut().map(|message| {
                message.author.get_or_insert(me);
                row(message)
            });
            all.push(rows.collect::<Vec<_>>());
        }
        for (device, other) in all.iter().enumerate().skip(1) {
            for (one, other) in all[0].iter().zip(other) {
                assert_eq!(one, other, "device {device}");
            }
            assert_eq!(all[0].len(), other.len(), "device {device}");
        }
        all[0].len()
    }

    /// Two devices of one person show the same of everything, with whatever happened there; of that
    /// each says when it heard of it.
    async fn show_the_same(&self, one: usize, other: usize, of: ConversationId) {
        let (one, other) = (&self.devices[one], &self.devices[other]);
        let (mut ours, mut theirs) = (one.history(of).await, other.history(of).await);
        for event in ours.iter_mut().chain(&mut theirs).filter(|m| m.kind == MessageKind::Event) {
            event.at = UnixTime::new(0);
        }
        for (one, other) in ours.iter().zip(&theirs) {
            assert_eq!(row(one), row(other));
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

/// CNV-16, CNV-17, CNV-19, DEV-13, DEV-16, ARC-3 to ARC-6: with a relay that has forgotten
/// everything an absent device would need, and processes killed at random moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_devices_of_three_people_show_one_history() {
    client_program("restante");
    let place = tempfile::tempdir().unwrap();
    let relay = Process::start_with(&place.path().join("data"), &place.path().join("log"), |c| {
        c.args(["--listen", "127.0.0.1:0", "--ttl", &TTL.to_string()]);
    });
    let proxy = Proxy::start(relay.address()).await;
    let begun = Instant::now();
    let (mut home, contacts) = Household::meet(&relay, &proxy).await;
    println!("met in {:?}", begun.elapsed());
    let (devices, phone) = (home.devices.len(), PHONE);
    for batch in 0..messages().div_ceil(devices * BATCH) {
        home.talk(devices, &format!("batch {batch}"), BATCH).await;
        home.devices[phone].act_on_the_newest(home.group).await;
        home.collect(devices).await;
    }
    home.settle("before").await;
    println!("made in {:?}", begun.elapsed());
    let begun = Instant::now();
    home.miss_and_return().await;
    println!("one device was away and has all in {:?}", begun.elapsed());
    home.show_one_history().await;

    home.devices.push(Person::linked(&home.devices[phone], proxy.address()).await);
    let watch = devices;
    for device in [phone, watch] {
        home.devices[device].leave_to_the_app().await;
    }
    let (begun, before) = (Instant::now(), proxy.carried());
    let (kills, amid) = sync_amid_kills(&home.devices[phone], &home.devices[watch]).await;
    let (took, after) = (begun.elapsed(), proxy.carried());
    for device in [phone, watch] {
        home.devices[device].reopen();
        home.devices[device].client.connect().await.unwrap();
    }
    for device in &home.devices {
        until_devices(&device.client, home.group, &[3, 2, 2]).await;
    }
    home.settle("the end").await;
    let count = home.show_one_history().await;
    println!(
        "{count} messages in {took:?} with {kills} kills, seen amid it {amid} times; up {} and \
         down {} bytes; identical on {} devices",
        after.0 - before.0,
        after.1 - before.1,
        home.devices.len()
    );
    assert!(kills >= KILLS && count >= messages(), "{kills} kills");
    for of in [home.group, contacts[0].into(), contacts[1].into()] {
        home.show_the_same(phone, watch, of).await;
        home.show_the_same(phone, LAPTOP, of).await;
    }
    assert_eq!(relay.terminate(), Some(0));
}
