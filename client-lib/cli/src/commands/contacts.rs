//! `contacts`: who there is, and what to do with a request.

use restante_client::{Contact, ContactState, Standing};

use crate::args::Decision;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::ContactLine;
use crate::output::{name_of, short_id, word_for};
use crate::text;

/// Lists them, by name.
pub(super) async fn list(desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let contacts = desk.client.contacts().await?;
    let width = contacts.iter().map(|contact| name_of(contact).chars().count()).max();
    for contact in &contacts {
        desk.out.contact(contact, width.unwrap_or_default());
    }
    if contacts.is_empty() {
        desk.out.say("Nobody yet. Begin with: restante invite, or restante accept LINK");
    }
    for contact in contacts {
        if !asks(&contact, desk).await? {
            continue;
        }
        let (name, id) = (name_of(&contact), short_id(contact.id));
        let asks = match &contact.joins {
            Some(joins) => format!("asks to be in {}", text::one_line(&joins.name)),
            None => "asks to get in touch".to_owned(),
        };
        desk.out.say(&format!(
            "\n{name} {asks}. To agree: restante contacts accept {id}\n\
             To refuse, without telling them: restante contacts decline {id}"
        ));
    }
    Ok(())
}

/// Whether a person is to decide: about who comes new, or a contact who asks to be in a group.
async fn asks(contact: &Contact, desk: &Desk) -> Result<bool, Failure> {
    Ok(match (contact.state, &contact.joins) {
        (ContactState::Incoming, _) => true,
        (ContactState::Active, Some(joins)) => {
            let all = desk.client.conversations().await?;
            all.iter().any(|one| one.id == joins.group && one.standing == Standing::Open)
        }
        _ => false,
    })
}

/// Agrees to a request or refuses it.
pub(super) async fn decide(decision: &Decision, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let (Decision::Accept { who } | Decision::Decline { who }) = decision;
    let asked = desk.contact(who).await?;
    match decision {
        Decision::Accept { .. } => desk.client.accept_contact(asked.id).await?,
        Decision::Decline { .. } => desk.client.decline_contact(asked.id).await?,
    };
    let told = desk.collect().await;
    let contact = desk.client.contact(asked.id).await?;
    desk.out.object(&ContactLine::from(&contact));
    let name = name_of(&contact);
    let joins = asked.joins.filter(|_| asked.state == ContactState::Active);
    desk.out.say(&match (decision, joins) {
        (Decision::Accept { .. }, Some(joins)) => {
            format!("{name} is let into {}.", text::one_line(&joins.name))
        }
        (Decision::Accept { .. }, None) => format!(
            "You and {name} can write to each other now: restante chat {}",
            word_for(&contact.nickname, contact.id)
        ),
        (Decision::Decline { .. }, _) => format!("{name} was refused and is not told."),
    });
    told.map(drop).map_err(|failure| failure.and("; restante sync tells the relay later"))
}
