//! Invitations that are answered on several devices of one account.

use super::devices::{settle, texts, three};
use crate::types::Standing;

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

/// DEV-18: what was declined stays so on every device, and a later invitation can be agreed to.
#[test]
fn what_was_declined_can_be_offered_again() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (group, who) = (bob.engine.create_group("Three", false).unwrap().id, bob.contact().id);
    bob.engine.add_member(group, who).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
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
