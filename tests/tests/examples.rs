//! The examples of the client library, run as their docs say, against a real relay.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use restante_client::{AttachOptions, ContactState, Goal, Message};
use restante_tests::people::{Person, WITHIN};
use restante_tests::relay::{InProcess, client_program};

/// Ends with the test, whatever came of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a bot; gives it with what it prints.
fn start(bot: &mut Command) -> (Running, Lines<BufReader<ChildStdout>>) {
    bot.env("BOT_PASSPHRASE", "correct horse").stdout(Stdio::piped());
    let mut bot = Running(bot.spawn().unwrap());
    let lines = BufReader::new(bot.0.stdout.take().unwrap()).lines();
    (bot, lines)
}

/// The bot answers those it was told to, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echo_bot_answers_whom_it_welcomes() {
    let relay = InProcess::start(&[]).await;
    let place = tempfile::tempdir().unwrap();
    let mut bot = Command::new(client_program("echo_bot"));
    bot.arg(place.path().join("bot")).arg(relay.address().to_string()).arg("Alice");
    let (bot, mut said) = start(&mut bot);
    let link = said.next().unwrap().unwrap();

    let alice = Person::new("Alice", relay.address());
    alice.client.accept_invite(&link, None).await.unwrap();
    let echo = alice.until(ContactState::Active).await;
    assert_eq!(alice.client.contact(echo).await.unwrap().nickname, "Echo");
    alice.client.send(echo, "Is there anybody?").await.unwrap();
    alice.until_received(echo, 1).await;
    assert_eq!(alice.texts(echo).await, ["Is there anybody?"; 2]);

    let mallory = Person::new("Mallory", relay.address());
    mallory.client.accept_invite(&link, Some("me too")).await.unwrap();
    mallory.collect().await;
    alice.client.send(echo, "and now?").await.unwrap();
    alice.until_received(echo, 2).await;
    mallory.collect().await;
    assert_eq!(mallory.only_contact().await.state, ContactState::Requested);
    drop(bot);
    relay.stop().await;
}

/// Files sent to the box are saved as they were, small or large, each under its own name; one that
/// came while the box was away is saved when it starts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_drop_saves_what_is_sent() {
    let relay = InProcess::start(&[]).await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("saved");
    let command = || {
        let mut command = Command::new(client_program("file_drop"));
        command.arg(place.path().join("bot")).arg(relay.address().to_string()).arg(&folder);
        command
    };
    let (bot, mut said) = start(&mut command());
    let link = said.next().unwrap().unwrap();
    let alice = Person::new("Alice", relay.address());
    alice.client.accept_invite(&link, None).await.unwrap();
    let of_box = alice.until(ContactState::Active).await;
    alice.client.connect().await.unwrap();

    let source = place.path().join("notes.txt");
    let send = async |size: usize| {
        let bytes: Vec<u8> = b"notes ".iter().copied().cycle().take(size).collect();
        std::fs::write(&source, &bytes).unwrap();
        let options = AttachOptions::default();
        (alice.client.attach(of_box, &source, options).await.unwrap().id, bytes)
    };
    let mut files = vec![send(1_000).await, send(1_000_000).await];
    for _ in &files {
        said.next().unwrap().unwrap();
    }
    let saved = |message: &Message| message.reactions.iter().any(|one| one.emoji == "📥");
    let mut events = alice.client.events();
    for (id, _) in &files {
        let told = async {
            while !saved(&alice.client.message(*id).await.unwrap()) {
                events.next().await.unwrap();
            }
        };
        tokio::time::timeout(WITHIN, told).await.unwrap();
    }
    drop(bot);
    files.push(send(2_000).await);
    let sent = files.last().unwrap().0;
    alice.client.wait_fate(sent, Goal::Accepted, WITHIN).await.unwrap();
    let (bot, mut said) = start(&mut command());
    assert!(said.next().unwrap().unwrap().starts_with("restante:"));
    said.next().unwrap().unwrap();
    for (id, bytes) in files {
        assert!(std::fs::read(folder.join(format!("{id}-notes.txt"))).unwrap() == bytes);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    drop(bot);
    relay.stop().await;
}
