//! `attach` and `fetch`: files there and back, and how far they are on their way.

use std::pin::pin;

use futures_util::FutureExt;
use restante_client::{
    AttachOptions, Attachment, AttachmentState, Error, Message, MessageId, Transfer, TransferId,
};

use super::send::follow;
use super::which::find;
use crate::args::{Attach, Fetch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::FileLine;
use crate::limits::TRANSFER_STALL;
use crate::output::size_words;
use crate::text;

/// Sends a file, then waits until its message has come as far as wished.
pub(super) async fn attach(args: &Attach, desk: &mut Desk) -> Result<(), Failure> {
    let collected = desk.collect().await;
    let place = desk.conversation(&args.who).await?;
    let options = AttachOptions {
        caption: args.caption.clone(),
        keep_metadata: args.keep_metadata,
        ..AttachOptions::default()
    };
    let message = desk.client.attach(place.id, &args.file, options).await?;
    if collected.is_ok() && !desk.offline {
        carry(&transfers_of(&message), desk).await?;
    }
    follow(&message, &place, &args.waiting, collected.map(drop), desk).await
}

/// Brings the file of a message and writes it where it is wanted; `last` is the last file of
/// somebody else. One that is here already needs no network.
pub(super) async fn fetch(args: &Fetch, desk: &mut Desk) -> Result<(), Failure> {
    let collected = desk.collect().await;
    let (_, message) = find(&args.which, desk, of_others).await?;
    let file = file_of(&message)?;
    let into = args.to.join(file.file_name());
    match desk.client.export_attachment(message.id, &into).await {
        Err(Error::NotHere) => {
            collected?;
            bring(message.id, desk).await?;
            desk.client.export_attachment(message.id, &into).await?;
        }
        written => written?,
    }
    desk.out.object(&FileLine::new(message.id, &into));
    let (name, size) = (into.display().to_string(), size_words(file.size));
    desk.out.say(&format!("{} is there now, {size}.", text::one_line(&name)));
    Ok(())
}

/// Goes on with everything that is on its way; says whether anything was.
pub(super) async fn go_on(desk: &mut Desk) -> Result<bool, Failure> {
    let all = desk.client.transfers().await?.into_iter();
    let ids: Vec<_> = all.filter(is_moving).map(|transfer| transfer.id).collect();
    carry(&ids, desk).await?;
    Ok(!ids.is_empty())
}

async fn bring(id: MessageId, desk: &mut Desk) -> Result<(), Failure> {
    if desk.offline {
        return Err(Failure::from(Error::NotHere));
    }
    let message = desk.client.fetch(id).await?;
    carry(&transfers_of(&message), desk).await?;
    match file_of(&desk.client.message(id).await?)?.state {
        AttachmentState::Failed(failure) => {
            Err(Failure::new("transfer_failed", format!("the file did not come: {failure}")))
        }
        _ => Ok(()),
    }
}

/// Waits until transfers have ended, and shows how far they are. Whoever does not want to wait
/// loses nothing: they go on with the next command that waits for them.
async fn carry(ids: &[TransferId], desk: &mut Desk) -> Result<(), Failure> {
    let mut interrupt = pin!(tokio::signal::ctrl_c().fuse());
    // From now on it does not end the process, and none is missed.
    let _ = interrupt.as_mut().now_or_never();
    let mut shown = None;
    loop {
        let mut all = desk.client.transfers().await?;
        all.retain(|transfer| ids.contains(&transfer.id));
        if !all.iter().any(is_moving) {
            desk.out.end_progress();
            return Ok(());
        }
        let (done, size) = sums(&all);
        let percent = done.saturating_mul(100) / size.max(1);
        if shown.replace(percent) != Some(percent) {
            desk.out.progress(done, size, percent);
        }
        let halt = tokio::select! {
            next = tokio::time::timeout(TRANSFER_STALL, desk.hear()) => match next {
                Ok(true) => continue,
                Ok(false) => Failure::from(Error::Stopped),
                Err(_) => Failure::from(Error::Deadline)
                    .saying("nothing has come or gone for a while"),
            },
            _ = &mut interrupt => Failure::new("interrupted", "interrupted"),
        };
        desk.out.end_progress();
        return Err(halt.and("; what is on its way goes on with: restante sync"));
    }
}

/// What all of them have done, and are to do.
fn sums(all: &[Transfer]) -> (u64, u64) {
    all.iter().fold((0, 0), |(done, size), one| (done + one.done, size + one.size))
}

const fn is_moving(transfer: &Transfer) -> bool {
    !transfer.state.is_final()
}

/// The transfer of a message's file, if it is on its way.
fn transfers_of(message: &Message) -> Vec<TransferId> {
    match message.attachment.as_ref().map(|file| file.state) {
        Some(AttachmentState::Moving(id)) => vec![id],
        Some(_) | None => Vec::new(),
    }
}

fn file_of(message: &Message) -> Result<&Attachment, Failure> {
    let none = || Failure::new("no_such_file", "there is no file in this message");
    message.attachment.as_deref().ok_or_else(none)
}

/// Whether it is a message of somebody else with a file in it.
fn of_others(message: &Message) -> bool {
    !message.from_me() && message.attachment.is_some()
}
