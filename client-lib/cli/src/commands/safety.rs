//! `verify` and `block`: whom to trust, and whom not to hear.

use crate::args::Verify;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::{ContactLine, VerifyLine};
use crate::output::{name_of, word_for};

/// Shows the safety number, and notes what came of comparing it. Needs no network.
pub(super) async fn verify(args: &Verify, desk: &mut Desk) -> Result<(), Failure> {
    let contact = desk.contact(&args.who).await?;
    let number = desk.client.safety_number(contact.id).await?;
    if args.equal || args.different {
        desk.client.set_verified(contact.id, args.equal).await?;
    }
    let verified = desk.client.contact(contact.id).await?.verified;
    desk.out.object(&VerifyLine {
        contact: contact.id.to_string(),
        safety_number: number.digits(),
        verified,
    });
    let (name, me) = (name_of(&contact), desk.client.nickname().await?);
    desk.out.say(&number.to_string());
    desk.out.say(&if args.different {
        format!("{name} counts as not verified. If the numbers differ, do not trust this contact.")
    } else if verified {
        format!("You have verified {name}.")
    } else {
        format!(
            "{name} must see the same number with: restante verify {me}\n\
             Compare it in person or by voice. If it is equal: restante verify {} --equal",
            word_for(&contact.nickname, contact.id)
        )
    });
    Ok(())
}

/// Blocks a contact; the relay hears of it as soon as it can be reached.
pub(super) async fn block(who: &str, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let contact = desk.contact(who).await?;
    let contact = desk.client.block(contact.id).await?;
    let told = desk.collect().await;
    desk.out.object(&ContactLine::from(&contact));
    desk.out.say(&format!("{} is blocked. The way back is a new invite.", name_of(&contact)));
    told.map(drop).map_err(|failure| {
        failure.and("; nothing of theirs is shown from now on, and restante sync tells the relay")
    })
}
