//! Who may make mailboxes: everybody, or whoever shows a token of the operator's (ADM-1 to ADM-4).
//!
//! Knows tokens by their hashes and what is left of each. Nothing ties a mailbox to the token that
//! paid for it, and nothing here could: the relay forgets that with the answer to `create`.

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use restante_crypto::{generate_token, token_hash};
use restante_spec::codes::Code;
use restante_spec::ids::{Seconds, TokenHash, UnixTime};
use restante_spec::limits;
use restante_spec::message::{Create, MailboxClass, Refusal};
use restante_spec::token::AdmissionToken;
use serde::{Deserialize, Serialize};

use super::api::Notices;
use super::rows::{self, BadRow};
use super::service::{Service, damaged, give_back, refusal};
use crate::buffer::{Act, Buffer, Part, RELAY, Row, Toll};
use crate::limits::TOKEN_LINGERS;

/// What a new token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Inboxes it pays for.
    pub(crate) uses: u32,
    /// How long it pays for inboxes.
    pub(crate) ttl: Seconds,
    /// What the operator knows it by.
    pub(crate) note: String,
}

/// A token as its operator sees it: never the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The beginning of its hash.
    pub(crate) id: String,
    /// Inboxes it still pays for.
    pub(crate) uses: u32,
    /// Other mailboxes it still pays for.
    pub(crate) mailboxes: u32,
    /// When it pays for no more inboxes.
    pub(crate) expires_at: UnixTime,
    pub(crate) note: String,
}

/// A token's row: what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TokenRow {
    uses: u32,
    mailboxes: u32,
    expires_at: u64,
    note: String,
}

/// Layout: so many bytes of a token's hash name it to its operator.
const ID_BYTES: usize = 6;

impl TokenRow {
    /// What is left when it has paid for one more mailbox; `None`: it cannot (ADM-2).
    fn pay(mut self, class: MailboxClass, now: UnixTime) -> Option<Self> {
        match class {
            MailboxClass::Inbox => {
                if now.get() >= self.expires_at {
                    return None;
                }
                self.uses = self.uses.checked_sub(1)?;
                // LIM-28
                self.mailboxes = self.mailboxes.saturating_add(limits::MAILBOXES_PER_USE);
            }
            MailboxClass::Conversation | MailboxClass::Room => {
                self.mailboxes = self.mailboxes.checked_sub(1)?;
            }
        }
        Some(self)
    }

    /// Whether it will never pay for anything.
    fn is_void(&self, now: UnixTime) -> bool {
        let is_over = now >= UnixTime::new(self.expires_at).after(TOKEN_LINGERS);
        self.mailboxes == 0 && (self.uses == 0 || is_over)
    }
}

impl<B: Buffer, N: Notices> Service<B, N> {
    /// What this mailbox costs, if not everybody may make one (ADM-1).
    pub(super) fn toll(&self, create: &Create, now: UnixTime) -> Option<Toll> {
        if !self.settings.token_needed {
            return None;
        }
        // Without a token a row that is never there pays: the answer is the same.
        let part = match &create.token {
            Some(token) => rows::of_token(&token_hash(token)),
            None => rows::single(rows::TOKEN),
        };
        let class = create.class;
        let pay = move |value: &[u8]| {
            let left = rows::decode::<TokenRow>(value).ok()?.pay(class, now)?;
            postcard::to_stdvec(&left).ok().map(Bytes::from)
        };
        Some(Toll { part, pay: Box::new(pay) })
    }

    /// Makes a token, and takes away those that pay for nothing any more; told when it is durable.
    pub(crate) fn make_token(
        self: &Arc<Self>,
        terms: Terms,
        now: UnixTime,
        told: impl FnOnce(Result<AdmissionToken, Refusal>) + Send + 'static,
    ) {
        let prepared = self.tokens().and_then(|tokens| new_token(&tokens, terms, now));
        let (token, rows) = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => return told(Err(refusal)),
        };
        let done = Box::new(move |outcome: Result<_, _>| {
            told(outcome.map(|_| token).map_err(refusal));
        });
        give_back(self.buffer.submit(RELAY, Act::Write { rows, trim: None }, done));
    }

    /// The tokens there are.
    pub(crate) fn list_tokens(&self) -> Result<Vec<Listed>, Refusal> {
        let tokens = self.tokens()?.into_iter();
        let listed = tokens.map(|(part, row)| Listed {
            id: id_of(&part),
            uses: row.uses,
            mailboxes: row.mailboxes,
            expires_at: UnixTime::new(row.expires_at),
            note: row.note,
        });
        Ok(listed.collect())
    }

    /// Strikes the token with this id: it pays for nothing from then on, and what it paid for
    /// stays (ADM-4). Told whether there was one, when that is durable.
    pub(crate) fn strike_token(
        self: &Arc<Self>,
        id: &str,
        told: impl FnOnce(Result<bool, Refusal>) + Send + 'static,
    ) {
        let found = match self.tokens() {
            Ok(tokens) => tokens.into_iter().filter(|(part, _)| id_of(part) == id),
            Err(refusal) => return told(Err(refusal)),
        };
        let rows: Vec<_> = found.map(|(part, _)| rows::remove(part)).collect();
        if rows.is_empty() {
            return told(Ok(false));
        }
        let done =
            Box::new(move |outcome: Result<_, _>| told(outcome.map(|_| true).map_err(refusal)));
        give_back(self.buffer.submit(RELAY, Act::Write { rows, trim: None }, done));
    }

    fn tokens(&self) -> Result<Vec<(Part, TokenRow)>, Refusal> {
        let rows = self.buffer.rows(RELAY, rows::TOKEN..=rows::TOKEN).map_err(refusal)?;
        let read = |row: Row| Ok((row.part, rows::decode(&row.value)?));
        rows.into_iter().map(read).collect::<Result<_, BadRow>>().map_err(|BadRow| damaged())
    }
}

/// A token, and the rows that change with it.
fn new_token(
    tokens: &[(Part, TokenRow)],
    terms: Terms,
    now: UnixTime,
) -> Result<(AdmissionToken, Vec<crate::buffer::RowWrite>), Refusal> {
    let void = tokens.iter().filter(|(_, row)| row.is_void(now));
    let mut rows: Vec<_> = void.map(|(part, _)| rows::remove(part.clone())).collect();
    // LIM-27
    if tokens.len() - rows.len() >= limits::TOKENS {
        return Err(Refusal::new(Code::Quota, "as many tokens as there may be: revoke some"));
    }
    let token = generate_token()
        .map_err(|_| Refusal::new(Code::Internal, "the system gives no randomness"))?;
    let row = TokenRow {
        uses: terms.uses,
        mailboxes: 0,
        expires_at: now.after(terms.ttl).get(),
        note: terms.note,
    };
    let part = rows::of_token(&token_hash(&token));
    rows.push(rows::put(part, &row).map_err(|BadRow| damaged())?);
    Ok((token, rows))
}

/// What an operator knows a token by.
pub(crate) fn token_id(token: &AdmissionToken) -> String {
    id_of(&rows::of_token(&token_hash(token)))
}

fn id_of(part: &Part) -> String {
    HEXLOWER.encode(part.key.get(..ID_BYTES).unwrap_or(&part.key))
}

const _: () = assert!(ID_BYTES <= TokenHash::SIZE);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::new(1_000);

    fn row(uses: u32, mailboxes: u32) -> TokenRow {
        TokenRow { uses, mailboxes, expires_at: 2_000, note: String::new() }
    }

    /// ADM-2, LIM-28: an inbox costs a use and brings mailboxes; at the last one, and one past it.
    #[test]
    fn a_use_pays_for_an_inbox_and_for_what_comes_with_it() {
        let after = row(1, 0).pay(MailboxClass::Inbox, NOW).unwrap();
        assert_eq!(after, row(0, limits::MAILBOXES_PER_USE));
        assert_eq!(after.clone().pay(MailboxClass::Inbox, NOW), None);
        let after = after.pay(MailboxClass::Conversation, NOW).unwrap();
        assert_eq!(after, row(0, limits::MAILBOXES_PER_USE - 1));
        assert_eq!(row(1, 1).pay(MailboxClass::Room, NOW), Some(row(1, 0)));
        assert_eq!(row(1, 0).pay(MailboxClass::Room, NOW), None);
    }

    /// ADM-2: a token's time is for inboxes; whoever came in time goes on.
    #[test]
    fn time_ends_inboxes_only() {
        let (last, over) = (UnixTime::new(1_999), UnixTime::new(2_000));
        let gone = over.after(TOKEN_LINGERS);
        assert!(row(1, 0).pay(MailboxClass::Inbox, last).is_some());
        assert_eq!(row(1, 0).pay(MailboxClass::Inbox, over), None);
        assert!(row(0, 1).pay(MailboxClass::Conversation, over).is_some());
        // ADM-2: a payment of the last second may be queued behind it.
        assert!(!row(1, 0).is_void(UnixTime::new(gone.get() - 1)) && row(1, 0).is_void(gone));
        assert!(row(0, 0).is_void(last) && !row(0, 1).is_void(gone));
    }

    /// LIM-27: as many as there may be, and one more once one of them is void.
    #[test]
    fn tokens_are_bounded_and_void_ones_make_room() {
        let terms = Terms { uses: 1, ttl: Seconds::new(60), note: String::new() };
        let part = |n: usize| Part { tag: rows::TOKEN, key: n.to_be_bytes().to_vec() };
        let mut tokens: Vec<_> = (1..limits::TOKENS).map(|n| (part(n), row(1, 0))).collect();
        assert_eq!(new_token(&tokens, terms.clone(), NOW).unwrap().1.len(), 1);
        tokens.push((part(0), row(1, 0)));
        let refused = new_token(&tokens, terms.clone(), NOW).unwrap_err();
        assert_eq!(refused.code, Code::Quota);
        tokens[7].1 = row(0, 0);
        assert_eq!(new_token(&tokens, terms, NOW).unwrap().1.len(), 2);
    }
}
