//! What people do with messages that are there: answer, react, give other words, take back.
//!
//! Knows what an app can ask; how often is said in `workload.rs`.

use restante_client::{ConversationId, Error, Message, MessageKind, Standing};

use super::workload::{Workload, history, pick};
use super::world::{World, is_refusal};

/// What somebody does with a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Answer,
    React,
    Edit,
    Delete,
}

/// Messages back from the newest that somebody may still care about.
const NEWEST: usize = 12;

impl Workload {
    /// Somebody does something with a message.
    pub(crate) fn touch(&mut self, world: &mut World, seat: usize, kind: Kind) {
        let open = |_, standing| standing == Standing::Open;
        let Some(id) = pick(world, seat, open) else { return };
        let Some(message) = some_message(world, seat, id, kind) else { return };
        world.ledger.tell(|| format!("{seat}: {kind:?} of {}", message.text));
        let (of, text) = (message.id, self.next_text(seat));
        let done = match kind {
            Kind::Answer => {
                let sent = world.ask(seat, |it| async move { it.send_reply(id, of, &text).await });
                sent.map(|sent| self.note_written(world, seat, sent))
            }
            Kind::React => {
                let emoji = world.random.weighted(&[(3, Some("+")), (2, Some("-")), (1, None)]);
                world.ask(seat, |it| async move { it.react(id, of, emoji).await }).map(drop)
            }
            Kind::Edit => {
                let edited = world.ask(seat, |it| async move { it.edit(id, of, &text).await });
                edited.map(|edited| world.ledger.reworded(&edited))
            }
            Kind::Delete => {
                let deleted = world.ask(seat, |it| async move { it.delete(id, &[of]).await });
                deleted.map(|_| world.ledger.took_back(&message))
            }
        };
        match done {
            Ok(()) => world.ledger.touched(),
            Err(error) => assert!(is_refusal(&error) || error == Error::NoSuchMessage, "{error}"),
        }
    }
}

/// One of the newest messages: to be changed, one of the own.
fn some_message(world: &mut World, seat: usize, id: ConversationId, kind: Kind) -> Option<Message> {
    let own = matches!(kind, Kind::Edit | Kind::Delete);
    let all = history(world, seat, id).into_iter().rev();
    let fit = all.filter(|it| it.kind == MessageKind::Text && (!own || it.from_me()));
    let mut fit = Vec::from_iter(fit.take(NEWEST));
    if fit.is_empty() {
        return None;
    }
    Some(fit.swap_remove(world.random.index(fit.len())))
}
