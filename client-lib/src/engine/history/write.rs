//! Segments of an archive, out of the tables: from a mark on, up to their size (ARC-1, ARC-3).

use restante_spec::archive::{Conversation, Head, Log, Member, Purpose, Record, SegmentWriter};
use restante_spec::content::InboxGrant;
use restante_spec::ids::{ArchiveId, ConversationId as Name, PublicKey, UnixTime};
use zeroize::Zeroizing;

use crate::engine::Work;
use crate::error::Error;
use crate::limits::{HISTORY_PAGE, SEGMENT_GOAL_BYTES};
use crate::store::{Mark, RecordName, Stage};
use crate::types::ConversationId;

/// A segment as it was written.
pub(crate) struct Written {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Messages and tombstones in it.
    pub(crate) messages: u32,
    /// The newest and the oldest of their times.
    pub(in crate::engine) times: Option<(UnixTime, UnixTime)>,
    /// Where the next one begins; `None`: it was the last.
    pub(crate) rest: Option<Mark>,
}

impl Work<'_> {
    /// What stands first in an archive: history for a device, or, without a name, a recovery file.
    pub(in crate::engine) fn head(&self, archive: Option<&ArchiveId>) -> Result<Head, Error> {
        let (conversations, messages) = self.db.archive_counts(archive)?;
        Ok(Head {
            purpose: if archive.is_some() { Purpose::History } else { Purpose::Recovery },
            account: *self.account.id().key(),
            made: self.now.into(),
            conversations,
            messages,
        })
    }

    /// Writes a segment on from a mark.
    pub(in crate::engine) fn write_segment(
        &self,
        mut writer: SegmentWriter,
        archive: Option<&ArchiveId>,
        mut mark: Mark,
    ) -> Result<Written, Error> {
        let (mut messages, mut times) = (0, None);
        let rest = 'full: loop {
            let names = self.db.names_behind(&mark, archive, HISTORY_PAGE)?;
            if names.is_empty() {
                let Some(next) = mark.stage.next() else { break None };
                mark = Mark::before(next);
                continue;
            }
            for name in names {
                if writer.size() >= SEGMENT_GOAL_BYTES {
                    break 'full Some(mark);
                }
                mark.key = name;
                let Some(record) = self.record_of(&mark)? else { continue };
                match writer.push(&record) {
                    Ok(true) => {}
                    Ok(false) => return Err(Error::Damaged("a segment above its bound")),
                    // ARC-2: nobody would take it.
                    Err(error) => {
                        tracing::warn!(%error, "a record was left out of an archive");
                        continue;
                    }
                }
                if let Some(at) = time_of(&record) {
                    messages += 1;
                    let (newest, oldest) = times.unwrap_or((at, at));
                    times = Some((at.max(newest), at.min(oldest)));
                }
            }
        };
        Ok(Written { bytes: writer.finish(), messages, times, rest })
    }

    /// The record a mark names; `None`: it is there no more.
    fn record_of(&self, mark: &Mark) -> Result<Option<Record>, Error> {
        match (mark.stage, mark.key.split_first_chunk::<8>(), mark.key.split_first_chunk::<16>()) {
            (Stage::States, Some((kind, key)), _) => {
                let kind = u32::try_from(u64::from_be_bytes(*kind)).unwrap_or(u32::MAX);
                let state = self.state_record(&RecordName { kind, key: key.to_vec() })?;
                Ok(state.map(Record::State))
            }
            (Stage::Conversations, _, Some((id, _))) => {
                self.conversation_of(ConversationId::new(*id))
            }
            (Stage::Members, _, Some((id, account))) => {
                let account = PublicKey::from_slice(account);
                let account = account.ok_or(Error::Damaged("the name of a member"))?;
                self.member_of(ConversationId::new(*id), &account).map(Some)
            }
            (Stage::Messages, Some((row, _)), _) => {
                self.db.kept_record(i64::from_be_bytes(*row), self.now)
            }
            _ => Err(Error::Damaged("where an archive goes on")),
        }
    }

    fn conversation_of(&self, id: ConversationId) -> Result<Option<Record>, Error> {
        let Some(row) = self.db.conversation(id)? else { return Ok(None) };
        let state = row.state.encode().map_err(|_| Error::Damaged("the state of a group"))?;
        let mut logs: Vec<Log> = Vec::new();
        for log in self.db.logs_of(id)? {
            let relay = log.relay.parse()?;
            let here = Log { generation: log.generation, relay, mailbox: log.mailbox };
            // Of two of one generation, the one messages go to.
            let twin = logs.pop_if(|last| last.generation == here.generation);
            logs.push(twin.filter(|_| row.log != Some(here.mailbox)).unwrap_or(here));
        }
        Ok(Some(Record::Conversation(Conversation { id: Name::new(*id.as_bytes()), state, logs })))
    }

    fn member_of(&self, of: ConversationId, account: &PublicKey) -> Result<Record, Error> {
        let member = self.db.member(of, account)?;
        let inbox = member.inbox.map(|inbox| -> Result<_, Error> {
            let relay = inbox.relay.parse()?;
            Ok(InboxGrant { relay, inbox: inbox.mailbox, key: inbox.key })
        });
        Ok(Record::Member(Box::new(Member {
            conversation: Name::new(*of.as_bytes()),
            account: *account,
            nick: member.nickname,
            devices: member.devices.unwrap_or_default(),
            inbox: inbox.transpose()?,
        })))
    }
}

/// The time of a message or tombstone.
fn time_of(record: &Record) -> Option<UnixTime> {
    match record {
        Record::Message(message) => Some(message.at.seconds()),
        Record::Tombstone(gone) => Some(gone.at.seconds()),
        _ => None,
    }
}
