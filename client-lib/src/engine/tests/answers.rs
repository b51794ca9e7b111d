//! Invitations that are answered on several devices of one account.

use std::time::Duration;

use restante_spec::codes::Code;
use restante_spec::content::{ConversationState, StateRecord};

use super::Work;
use super::devices::{link, settle, texts, three};
use super::friends;
use super::post::{Person, Post, wait};
use crate::store::{ConversationRow, LogRow, LogState};
use crate::types::{ContactId, ContactState, ConversationId, Fate, Standing};

/// Bob has invited Alice, who has two devices, into a group; and what he calls her.
fn invited() -> (Post, [Person; 3], ConversationId, ContactId) {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (group, who) = (bob.engine.create_group("Three", false).unwrap().id, bob.contact().id);
    bob.engine.add_member(group, who).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    (post, [alice, laptop, bob], group, who)
}

/// DEV-18: agreed to on one device and declined on another, in whichever order the two hear of it,
/// an invitation is agreed to on both.
#[test]
fn agreeing_outlives_declining() {
    for phone_agrees in [true, false] {
        for phone_is_first in [true, false] {
            let (mut post, mut alice, mut laptop, mut bob) = three();
            let group = bob.engine.create_group("Three", false).unwrap().id;
            bob.engine.add_member(group, bob.contact().id).unwrap();
            settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
            let (agrees, declines) =
                if phone_agrees { (&mut alice, &mut laptop) } else { (&mut laptop, &mut alice) };
            agrees.engine.accept_group(group).unwrap();
            declines.engine.decline_group(group).unwrap();
            if phone_is_first {
                settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
            } else {
                settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
            }
            bob.engine.send(group, "to both").unwrap();
            settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
            for device in [&mut alice, &mut laptop] {
                let standing = device.engine.conversation(group).unwrap().standing;
                assert_eq!(standing, Standing::Open, "{phone_agrees} {phone_is_first}");
                assert_eq!(texts(device, group), ["to both"]);
            }
        }
    }
}

/// DEV-10, DEV-18: what is written on a device that has agreed, and that cannot read the log yet,
/// is not refused because another one declines, whose word stands before its own.
#[test]
fn declining_refuses_nothing_of_who_agrees() {
    let (mut post, [mut alice, mut laptop, mut bob], group, _) = invited();
    laptop.engine.accept_group(group).unwrap();
    let log = laptop.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    laptop.engine.reading_refused(&log, Code::Gone).unwrap();
    let said = laptop.engine.send(group, "waits").unwrap().id;
    alice.engine.decline_group(group).unwrap();
    post.work(&mut alice);
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    assert_eq!(laptop.engine.message(said).unwrap().fate, Fate::Queued);
    assert_eq!(alice.engine.conversation(group).unwrap().standing, Standing::Open);
}

/// DEV-18: what was declined stays so on every device, and a later invitation can be agreed to.
#[test]
fn what_was_declined_can_be_offered_again() {
    let (mut post, [mut alice, mut laptop, mut bob], group, who) = invited();
    laptop.engine.decline_group(group).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    for device in [&mut alice, &mut laptop] {
        assert_eq!(device.engine.conversation(group).unwrap().standing, Standing::Left);
    }
    bob.engine.remove_member(group, who).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    bob.engine.add_member(group, who).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    alice.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    bob.engine.send(group, "at last").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    for device in [&mut alice, &mut laptop] {
        assert_eq!(texts(device, group), ["at last"]);
    }
}

/// DEV-18: the same where the letter came to one of the two only, whichever agrees.
#[test]
fn agreeing_outlives_declining_where_no_letter_came() {
    for tablet_agrees in [true, false] {
        for phone_is_first in [true, false] {
            let (mut post, mut alice, mut bob) = friends();
            let mut tablet = link(&mut post, &mut bob);
            let group = alice.engine.create_group("Three", false).unwrap().id;
            // Alice has not heard of the tablet.
            alice.engine.add_member(group, alice.contact().id).unwrap();
            post.round(&mut alice);
            settle(&mut post, &mut [&mut bob, &mut tablet]);
            let (agrees, declines) =
                if tablet_agrees { (&mut tablet, &mut bob) } else { (&mut bob, &mut tablet) };
            agrees.engine.accept_group(group).unwrap();
            declines.engine.decline_group(group).unwrap();
            if phone_is_first {
                settle(&mut post, &mut [&mut bob, &mut tablet, &mut alice]);
            } else {
                settle(&mut post, &mut [&mut tablet, &mut bob, &mut alice]);
            }
            alice.engine.send(group, "to both").unwrap();
            settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
            for device in [&mut bob, &mut tablet] {
                let standing = device.engine.conversation(group).unwrap().standing;
                assert_eq!(standing, Standing::Open, "{tablet_agrees} {phone_is_first}");
                assert_eq!(texts(device, group), ["to both"]);
            }
        }
    }
}

/// DEV-8: a group that was left before another device came into it is left there too.
#[test]
fn what_was_left_at_once_is_left_everywhere() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let hidden = post.hide_prekeys(2);
    let group = alice.engine.create_group("Nobody else", false).unwrap().id;
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(laptop.engine.conversation(group).unwrap().standing, Standing::Open);
    alice.engine.leave_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    post.show_prekeys(hidden);
    for device in [&mut alice, &mut laptop] {
        assert_eq!(device.engine.conversation(group).unwrap().standing, Standing::Left);
    }
}

/// DEV-19: that the account leaves a group holds also on a device that came into it after that was
/// said there: the record tells it, and tells when the account is in it again.
#[test]
fn leaving_holds_on_devices_that_did_not_read_it() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = alice.engine.create_group("Three", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    bob.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    for standing in [Standing::Leaving, Standing::Open] {
        let told = laptop.engine.transact(|work| {
            let mut row = work.db.need_conversation(group)?;
            row.standing = standing;
            work.db.put_conversation(&row)?;
            work.tell_conversation(&row)
        });
        told.unwrap();
        settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
        assert_eq!(alice.engine.conversation(group).unwrap().standing, standing);
    }
}

/// DEV-20: a device whose log has ended hears from the last record that the account is invited
/// again, though no letter came to it, and can agree; one that waits to be let in again hears that
/// the account was removed.
#[test]
fn unread_logs_are_heard_of_by_records() {
    let (mut post, [mut alice, mut laptop, mut bob], group, who) = invited();
    alice.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    let log = laptop.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    let gone = laptop
        .engine
        .store
        .write(|db| db.put_log(&LogRow { state: LogState::Gone, ..db.need_log(&log)? }));
    gone.unwrap();
    bob.engine.remove_member(group, who).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    for device in [&mut alice, &mut laptop] {
        assert_eq!(device.engine.conversation(group).unwrap().standing, Standing::Removed);
        let log = device.engine.store.read().need_log(&log).unwrap();
        assert_eq!(log.state, LogState::Closed);
    }

    let hidden = post.hide_prekeys(2);
    bob.engine.add_member(group, who).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert_eq!(laptop.engine.conversation(group).unwrap().standing, Standing::Invited);
    post.show_prekeys(hidden);
    laptop.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    bob.engine.send(group, "to both").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert_eq!([texts(&alice, group), texts(&laptop, group)], [["to both"], ["to both"]]);
}

/// DEV-18: a device that is in a group or waits to be let in again, and hears that another of its
/// account is asked whether to come in, says that the account is in it.
#[test]
fn who_is_in_says_so_to_who_is_asked() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let group = alice.engine.create_group("Notes", false).unwrap().id;
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let own = ConversationId::from(laptop.engine.own_id().unwrap());
    let told = |person: &Person| person.engine.store.read().outbox(own, 0, 10).unwrap().len();
    let state = ConversationState { group: true, standing: 1, name: String::new(), own_key: None };
    let record = StateRecord::Conversation(*group.as_bytes(), state);
    let log = laptop.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    for (count, state) in [(0, LogState::Live), (1, LogState::Gone)] {
        assert_eq!(told(&laptop), count);
        let heard = laptop.engine.transact(|work| {
            work.db.put_log(&LogRow { state, ..work.db.need_log(&log)? })?;
            work.apply(record.clone())
        });
        heard.unwrap();
        assert_eq!(laptop.engine.conversation(group).unwrap().standing, Standing::Open);
    }
    assert_eq!(told(&laptop), 2);
}

/// DEV-20: that the account is leaving, said by a device that was away, is no later word than that
/// it has left.
#[test]
fn who_has_left_does_not_leave_again() {
    let (mut post, [mut alice, mut laptop, mut bob], group, _) = invited();
    alice.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    alice.engine.leave_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    let told = alice.engine.transact(|work| {
        let row = work.db.need_conversation(group)?;
        work.db.put_conversation(&ConversationRow { standing: Standing::Leaving, ..row })
    });
    told.unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    for device in [&mut alice, &mut laptop] {
        assert_eq!(device.engine.conversation(group).unwrap().standing, Standing::Left);
    }
}

/// DEV-10: what has ended for one device alone goes on, for that device too.
#[test]
fn what_another_device_reads_has_not_ended() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let mut contact = alice.engine.store.read().need_contact(alice.contact().id).unwrap();
    contact.state = ContactState::Ended;
    alice.engine.transact(|work| work.put_contact(&contact)).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    for device in [&mut alice, &mut laptop] {
        assert_eq!(device.contact().state, ContactState::Active);
    }
    bob.engine.send(bob.talk(), "to both").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert_eq!([alice.texts(), laptop.texts()], [["to both"], ["to both"]]);
    // Whoever has given up its log asks to be let into it again.
    let log = laptop.log();
    let lost = |work: &mut Work<'_>| work.end_log(&log, LogState::Lost, Code::Gone);
    laptop.engine.transact(lost).unwrap();
    assert_eq!(laptop.contact().state, ContactState::Ended);
    for _ in 0..4 {
        settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
        wait(&mut laptop, Duration::from_secs(10));
    }
    assert_eq!(laptop.contact().state, ContactState::Active);
    assert_eq!(laptop.engine.store.read().need_log(&log).unwrap().state, LogState::Live);
}
