//! `group name`, `picture`, `policy` and `timer`: what a group has agreed on.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use restante_client::{Policy, Seconds, prepare_image};

use super::change;
use crate::args::{GroupPicture, GroupPolicy};
use crate::desk::Desk;
use crate::durations::{self, Timer};
use crate::failure::Failure;
use crate::json::who_name;
use crate::limits::PICTURE_BYTES;
use crate::output::place_of;

/// Gives a group another name.
pub(super) async fn name(group: &str, name: &str, desk: &mut Desk) -> Result<(), Failure> {
    change(group, desk, async |client, group| Ok(client.set_group_name(group.id, name).await?))
        .await?;
    desk.say_done(&format!("The group is called {} now.", crate::text::one_line(name)));
    Ok(())
}

/// Gives a group another picture, or none.
pub(super) async fn picture(args: &GroupPicture, desk: &mut Desk) -> Result<(), Failure> {
    let picture = match &args.file {
        Some(file) => small_picture(file)?,
        None => Vec::new(),
    };
    let group = change(&args.group, desk, async |client, group| {
        Ok(client.set_group_picture(group.id, picture).await?)
    })
    .await?;
    let words = if args.none { "has no picture" } else { "has another picture" };
    desk.say_done(&format!("{} {words} now.", place_of(&group)));
    Ok(())
}

/// The small picture of a file, without what the file tells of its maker.
fn small_picture(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new("storage", format!("{} cannot be read: {error}", file.display()))
    };
    let mut bytes = Vec::new();
    let taken = File::open(file).map_err(cannot)?.take(PICTURE_BYTES).read_to_end(&mut bytes);
    taken.map_err(cannot)?;
    let small = prepare_image(&bytes).ok().flatten().and_then(|image| image.thumbnail);
    small.ok_or_else(|| {
        let text =
            format!("{} is no JPEG, PNG, WebP or GIF that can be made small", file.display());
        Failure::new("bad_picture", text)
    })
}

/// Sets who may do what.
pub(super) async fn policy(args: &GroupPolicy, desk: &mut Desk) -> Result<(), Failure> {
    let rules = &args.rules;
    let mut set = Policy::default();
    let group = change(&args.group, desk, async |client, group| {
        let before = group.policy;
        set = Policy {
            adders: rules.add.map_or(before.adders, Into::into),
            writers: rules.write.map_or(before.writers, Into::into),
            editors: rules.edit.map_or(before.editors, Into::into),
        };
        Ok(client.set_policy(group.id, set).await?)
    })
    .await?;
    desk.say_done(&format!("In {}: {}.", place_of(&group), policy_words(set)));
    Ok(())
}

/// Sets how long messages are kept; in a conversation with one contact too.
pub(super) async fn timer(of: &str, time: Timer, desk: &mut Desk) -> Result<(), Failure> {
    let collected = desk.collect().await;
    let conversation = desk.conversation(of).await?;
    desk.client.set_timer(conversation.id, time.0).await?;
    let conversation = desk.tell_of(&conversation, collected).await?;
    desk.say_done(&format!("In {}: {}.", place_of(&conversation), timer_words(time.0)));
    Ok(())
}

/// Who may do what, in words.
pub(super) fn policy_words(policy: Policy) -> String {
    let Policy { adders, writers, editors } = policy;
    let [add, write, edit] = [adders, writers, editors].map(who_name);
    format!("{write} may write, {add} add people, {edit} change name, picture and timer")
}

/// How long messages are kept, in words.
pub(super) fn timer_words(timer: Option<Seconds>) -> String {
    timer.map_or_else(
        || "messages are kept without end".to_owned(),
        |time| {
            format!("new messages disappear {} after they were read", durations::words(time.get()))
        },
    )
}
