//! What one address may try in a minute (LIM-20), over the wire: at the bound, and one past it.

use restante_spec::codes::Code;
use restante_spec::message::{Command, MailboxClass, Reply};
use restante_tests::blobs::Blob;
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, Wire, tls};

/// LIM-20: connections, though each has left before the next comes.
#[tokio::test]
async fn connections_in_a_minute() {
    let relay = InProcess::start(&["--connects-per-minute", "2"]).await;
    for _ in 0..2 {
        Wire::connect(relay.address()).await.cut();
    }
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    relay.stop().await;
}

/// LIM-20: after failed opens nothing is opened and nobody comes in; the rest goes on.
#[tokio::test]
async fn failures_in_a_minute() {
    let relay = InProcess::start(&["--failures-per-minute", "2"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    let (owner, nobody) = (Owner::new(), Owner::new());
    wire.create(MailboxClass::Inbox, &owner).await;
    for _ in 0..2 {
        let open = wire.open_command(1, nobody.mailbox, &nobody.key);
        assert_eq!(wire.refused(open, b"").await, Code::NotFound);
    }
    let open = wire.open_command(1, owner.mailbox, &owner.key);
    let (reply, _) = wire.ask(open, b"").await;
    let Reply::Error(refusal) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(refusal.code, Code::Rate);
    assert!(refusal.retry_after.is_some());
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    wire.done(Command::Ping, b"").await.unwrap();
    relay.stop().await;
}

/// LIM-20: reads of blobs that fail count as opens do, and are refused as they are.
#[tokio::test]
async fn failed_reads_in_a_minute() {
    let relay = InProcess::start(&["--failures-per-minute", "2"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    let nothing = Blob::new(Owner::new().mailbox, 1);
    for code in [Code::NotFound, Code::NotFound, Code::Rate] {
        let read = wire.blob_read(&nothing, 0, 1);
        assert_eq!(wire.read(read).await.unwrap_err().code, code);
    }
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    relay.stop().await;
}

/// LIM-20: mailboxes made; one past the bound is told when to come again.
#[tokio::test]
async fn mailboxes_made_in_a_minute() {
    let relay = InProcess::start(&["--creates-per-minute", "2"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    for _ in 0..2 {
        wire.create(MailboxClass::Inbox, &Owner::new()).await;
    }
    let (reply, _) = wire.ask(Owner::new().create(MailboxClass::Inbox), b"").await;
    let Reply::Error(refusal) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(refusal.code, Code::Rate);
    assert!(refusal.retry_after.is_some());
    relay.stop().await;
}
