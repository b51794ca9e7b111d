//! `invite` and `accept`: how two people find each other.

use restante_client::{ContactState, InviteOptions, Seconds};

use crate::args::{Accept, Invite};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::{ContactLine, InviteLine};
use crate::limits::DAY_SECONDS;
use crate::output::name_of;
use crate::text;

/// Makes an invite and tells the relay of it, so that it works when the link is given away.
pub(super) async fn make(args: &Invite, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let (uses, expires_in) = (args.uses, days(args.days));
    let options = InviteOptions { uses, expires_in, ..InviteOptions::default() };
    offer(options, "When they have written, you see them in: restante contacts", desk).await
}

/// So many days.
pub(super) const fn days(days: u32) -> Seconds {
    Seconds::new(days.saturating_mul(DAY_SECONDS))
}

/// Makes an invite, shows it and says what comes `next`.
pub(super) async fn offer(
    options: InviteOptions,
    next: &str,
    desk: &mut Desk,
) -> Result<(), Failure> {
    let link = desk.client.invite(options).await?;
    let told = desk.collect().await;
    desk.out.object(&InviteLine { link: link.as_str() });
    desk.out.say(link.as_str());
    desk.out.qr(link.as_str());
    if desk.offline {
        desk.out.warn("the relay does not know this invite before you run: restante sync");
    }
    if desk.out.is_terminal() {
        let days = options.expires_in.get() / DAY_SECONDS;
        desk.out.say(&format!(
            "Give it to {} privately; it holds for {}.\n{next}",
            match options.uses {
                1 => "one person".to_owned(),
                n => format!("up to {n} people"),
            },
            if days == 1 { "a day".to_owned() } else { format!("{days} days") },
        ));
    }
    told.map(drop)
        .map_err(|failure| failure.and("; the invite works when restante sync has reached it"))
}

/// Takes an invite: the first letter goes to the relay of whoever made it.
pub(super) async fn take(args: &Accept, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let contact = desk.client.accept_invite(&args.link, args.message.as_deref()).await?;
    let sent = desk.collect().await;
    let contact = desk.client.contact(contact.id).await?;
    desk.out.object(&ContactLine::from(&contact));
    sent?;
    match contact.state {
        ContactState::Requested if contact.nickname.is_empty() => {
            desk.out.say("Your request is at their relay. You hear of it when they have accepted.");
        }
        ContactState::Requested => desk.out.say(&format!(
            "Your request{} is at {}'s relay. You hear of it when they have accepted.",
            match &contact.joins {
                Some(joins) => format!(" to be in {}", text::one_line(&joins.name)),
                None => String::new(),
            },
            name_of(&contact)
        )),
        ContactState::Invited if desk.offline => {
            desk.out.say("Your request waits on this device; restante sync sends it.");
        }
        ContactState::Invited => {
            return Err(Failure {
                retryable: true,
                ..Failure::new(
                    "not_sent",
                    "their relay did not take the request yet; it waits on this device, \
                     and restante sync tries again",
                )
            });
        }
        ContactState::Declined => {
            return Err(Failure::new(
                "expired",
                "this invite does not hold any more: it was used, or its time is over; \
                 ask for a new one",
            ));
        }
        ContactState::Active => match &contact.joins {
            Some(joins) => desk.out.say(&format!(
                "{} is asked to let you into {}.",
                name_of(&contact),
                text::one_line(&joins.name)
            )),
            None => desk.out.say(&format!("You know {} already.", name_of(&contact))),
        },
        ContactState::Incoming | ContactState::Ended | ContactState::Blocked => {
            desk.out.say(&format!("You know {} already.", name_of(&contact)));
        }
    }
    Ok(())
}
