//! Tests of the records of an account's state.

use super::*;
use crate::archive::{Manifest, ManifestSegment};
use crate::ids::{ArchiveId, BlobId, BlobSize, UnixTime};
use crate::limits::{GROUP_NAME_BYTES, NICK_BYTES, ROOM_HOSTS, SYNC_VALUE_BYTES};

fn contact(state: u32) -> Box<ContactState> {
    Box::new(ContactState {
        account: Some(PublicKey::new([1; 32])),
        nick: "bob".into(),
        state,
        verified: true,
        devices: vec![2; 9],
        inbox: Some(grant()),
        own_key: Some(Zeroizing::new([3; 32])),
        invite: Zeroizing::new("a link".into()),
        came_by: Some(PublicKey::new([4; 32])),
        request: vec![5; 9],
        ended_at: UnixTime::new(6),
    })
}

fn group(standing: u32, name: usize) -> ConversationState {
    let own_key = Some(Zeroizing::new([3; 32]));
    ConversationState { group: true, standing, name: "n".repeat(name), own_key }
}

fn room(standing: u32, hosts: usize) -> Box<RoomState> {
    let key = PublicKey::new([6; 32]);
    Box::new(RoomState {
        standing,
        link: Zeroizing::new("a link".into()),
        card: vec![1; 300],
        host_key: Some(Zeroizing::new([3; 32])),
        manage_key: Some(Zeroizing::new([4; 32])),
        old_key: Some(key),
        hosts: vec![RoomHost { account: PublicKey::new([5; 32]), key }; hosts],
    })
}

fn account(nick: usize) -> AccountState {
    AccountState { nick: "n".repeat(nick), devices: vec![1; 9], next_number: 3 }
}

fn manifest() -> Manifest {
    Manifest {
        archive: ArchiveId::new([10; 16]),
        number: 0,
        last: true,
        messages: 9,
        relay: grant().relay,
        segments: vec![ManifestSegment {
            number: 0,
            blob: BlobId::new([11; 16]),
            read_key: Zeroizing::new([12; 32]),
            file_key: Zeroizing::new([13; 32]),
            size: BlobSize::new(1_040),
            messages: 9,
            newest: UnixMillis::new(2),
            oldest: UnixMillis::new(1),
        }],
    }
}

/// DEV-8, DEV-16: every record comes back as it was, and one of another kind is left alone.
#[test]
fn records_come_back() {
    let (link, secret) = (Zeroizing::new("link".into()), Zeroizing::new([8; 32]));
    let (expires_at, created_at) = (UnixTime::new(2), UnixTime::new(1));
    let invite = InviteState {
        link,
        secret,
        uses: 1,
        expires_at,
        created_at,
        group: Some([6; 16]),
        accepts: true,
    };
    let records = [
        StateRecord::Account(account(5)),
        StateRecord::Contact([1; 16], contact(4)),
        StateRecord::Invite(PublicKey::new([7; 32]), invite),
        StateRecord::Conversation([2; 16], group(2, 5)),
        StateRecord::Read([2; 16], LogPosition { generation: 1, seq: Seq::new(7) }),
        StateRecord::Setting("theme".into(), Some(vec![1])),
        StateRecord::Setting("theme".into(), None),
        StateRecord::Draft([2; 16], "not yet".into()),
        StateRecord::Accepted([1; 16], PublicKey::new([9; 32])),
        StateRecord::History(PublicKey::new([9; 32]), Box::new(manifest())),
        StateRecord::Taken(ArchiveId::new([10; 16]), HistoryTaken { segments: 7, anew: true }),
        StateRecord::Taken(ArchiveId::new([10; 16]), HistoryTaken { segments: 8, anew: false }),
        StateRecord::Room([2; 16], room(2, ROOM_HOSTS)),
        StateRecord::Wanted(
            [2; 16],
            HistoryWanted {
                of: PublicKey::new([9; 32]),
                behind: LogPosition { generation: 1, seq: Seq::new(7) },
            },
        ),
    ];
    for record in records {
        let travelled = record.to_record().unwrap();
        assert_eq!(StateRecord::from_record(&travelled), Ok(Some(record)));
    }
    let newer = SyncRecord { kind: 99, key: vec![], value: Zeroizing::new(vec![1]) };
    assert_eq!(StateRecord::from_record(&newer), Ok(None));
}

/// DEV-8: bounds hold for both directions, at each bound and one past it; keys have one size.
#[test]
fn records_are_bounded() {
    let good = [
        StateRecord::Account(account(NICK_BYTES)),
        StateRecord::Contact([1; 16], contact(7)),
        StateRecord::Conversation([1; 16], group(6, GROUP_NAME_BYTES)),
        StateRecord::Draft([1; 16], "x".repeat(SYNC_VALUE_BYTES)),
        StateRecord::Room([1; 16], room(6, ROOM_HOSTS)),
    ];
    assert!(good.iter().all(|record| record.to_record().is_ok()));
    let turned = ConversationState { name: "a\u{202e}b".to_owned(), ..group(2, 1) };
    let bad = [
        StateRecord::Account(account(NICK_BYTES + 1)),
        StateRecord::Contact([1; 16], contact(0)),
        StateRecord::Contact([1; 16], contact(8)),
        StateRecord::Conversation([1; 16], group(7, 1)),
        StateRecord::Conversation([1; 16], group(2, GROUP_NAME_BYTES + 1)),
        StateRecord::Conversation([1; 16], turned),
        StateRecord::Draft([1; 16], "x".repeat(SYNC_VALUE_BYTES + 1)),
        StateRecord::Room([1; 16], room(7, 1)),
        StateRecord::Room([1; 16], room(2, ROOM_HOSTS + 1)),
    ];
    assert!(bad.iter().all(|record| record.to_record().is_err()));
    let mut short = good[3].to_record().unwrap();
    short.key.pop();
    assert!(StateRecord::from_record(&short).is_err());
}
