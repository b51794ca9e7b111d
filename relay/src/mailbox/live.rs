//! Live envelopes: passed on to whoever is subscribed, never stored (MBX-19).

use std::sync::Arc;

use restante_spec::codes::Code;
use restante_spec::ids::{Seconds, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::{Appended, MailboxClass, Rate, Refusal};

use super::api::{Access, Answer, AppendAsk, Notice, Notices, Respond, epoch_name};
use super::authorise::{Grant, Need, authorise, not_restored};
use super::service::{Service, lock};
use super::state::Mailbox;
use crate::buffer::{Buffer, Envelope};
use crate::ops::metrics::Shed;

/// How fast live envelopes may come (LIM-15).
const LIVE_RATE: Rate = Rate {
    count: limits::LIVE_BURST,
    per: Seconds::new(limits::LIVE_BURST / limits::LIVE_PER_SECOND),
};

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Passes a live envelope on (MBX-19). Its place in the chain is left as it is.
    pub(super) fn pass_on(
        self: &Arc<Self>,
        access: Access,
        ask: AppendAsk,
        now: UnixTime,
        respond: Respond,
    ) {
        let origin = ask.origin;
        let taken = self.take_in(Shed::Live).and_then(|()| self.get(access));
        let restored = self.buffer.restored();
        let judged = taken.and_then(|cell| judge(&mut lock(&cell), access, ask, restored, now));
        let envelope = match judged {
            Ok(envelope) => envelope,
            Err(refusal) => return respond(Err(refusal)),
        };
        let (seq, expires_at) = (envelope.seq, envelope.expires_at);
        // Answered first: how long the passing on takes would tell how many are online.
        respond(Ok(Answer::Appended(Appended { seq, expires_at, already: false, epoch: None })));
        self.notices.notice(access.mailbox, Notice::Appended { envelope, origin, at: now });
    }
}

/// Whether the key may append now, and whether that is not too fast.
fn judge(
    mailbox: &mut Mailbox,
    access: Access,
    ask: AppendAsk,
    restored: Seq,
    now: UnixTime,
) -> Result<Envelope, Refusal> {
    let no = |code, detail| Err(Refusal::new(code, detail));
    let (ask, key, grant) = authorise(mailbox, access.key, Need::Write, ask, now)?.into_parts();
    if mailbox.class == MailboxClass::Inbox || ask.commit.is_some() {
        return no(Code::Unsupported, "inboxes and commits have no live class");
    }
    let epoch = match grant {
        // MBX-7
        Grant::Epoch { number } if ask.epoch == epoch_name(number) => {
            not_restored(mailbox, restored)?;
            number
        }
        Grant::Epoch { .. } | Grant::Replaced(_) => {
            return no(Code::StaleEpoch, "another epoch is current");
        }
        Grant::Terms { .. } if ask.epoch.is_some() => {
            return no(Code::Unsupported, "this mailbox has no epochs");
        }
        Grant::Terms { over, .. } => {
            mailbox.may_append(key, over, now)?;
            Seq::START
        }
    };
    mailbox.live_pace.take(LIVE_RATE, now).map_err(|wait| {
        Refusal::new(Code::Rate, "live envelopes come too fast").retry_after(wait)
    })?;
    Ok(Envelope {
        seq: Seq::START,
        prev: Seq::START,
        epoch,
        id: ask.id,
        class: ask.class,
        expires_at: UnixTime::default(),
        commit: false,
        body: ask.body,
    })
}
