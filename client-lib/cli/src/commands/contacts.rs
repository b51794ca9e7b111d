//! `contacts`: who there is, and what to do with a request.

use restante_client::ContactState;

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
    for contact in contacts.iter().filter(|contact| contact.state == ContactState::Incoming) {
        let (name, id) = (name_of(contact), short_id(contact.id));
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

/// Agrees to a request or refuses it.
pub(super) async fn decide(decision: &Decision, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let contact = match decision {
        Decision::Accept { who } => {
            let contact = desk.contact(who).await?;
            desk.client.accept_contact(contact.id).await?
        }
        Decision::Decline { who } => {
            let contact = desk.contact(who).await?;
            desk.client.decline_contact(contact.id).await?
        }
    };
    let told = desk.collect().await;
    let contact = desk.client.contact(contact.id).await?;
    desk.out.object(&ContactLine::from(&contact));
    let name = name_of(&contact);
    desk.out.say(&match decision {
        Decision::Accept { .. } => {
            format!(
                "You and {name} can write to each other now: restante chat {}",
                word_for(&contact.nickname, contact.id)
            )
        }
        Decision::Decline { .. } => format!("{name} was refused and is not told."),
    });
    told.map(drop).map_err(|failure| failure.and("; restante sync tells the relay later"))
}
