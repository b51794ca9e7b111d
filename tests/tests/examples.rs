//! The examples of the client library, run as their docs say, against a real relay.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use restante_client::ContactState;
use restante_tests::people::Person;
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

/// The bot answers those it was told to, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echo_bot_answers_whom_it_welcomes() {
    let relay = InProcess::start(&[]).await;
    let place = tempfile::tempdir().unwrap();
    let mut bot = Command::new(client_program("echo_bot"));
    bot.arg(place.path().join("bot")).arg(relay.address().to_string()).arg("Alice");
    bot.env("BOT_PASSPHRASE", "correct horse").stdout(Stdio::piped());
    let mut bot = Running(bot.spawn().unwrap());
    let mut link = String::new();
    BufReader::new(bot.0.stdout.take().unwrap()).read_line(&mut link).unwrap();

    let alice = Person::new("Alice", relay.address());
    alice.client.accept_invite(link.trim(), None).await.unwrap();
    let echo = alice.until(ContactState::Active).await;
    assert_eq!(alice.client.contact(echo).await.unwrap().nickname, "Echo");
    alice.client.send(echo, "Is there anybody?").await.unwrap();
    alice.until_received(echo, 1).await;
    assert_eq!(alice.texts(echo).await, ["Is there anybody?"; 2]);

    let mallory = Person::new("Mallory", relay.address());
    mallory.client.accept_invite(link.trim(), Some("me too")).await.unwrap();
    mallory.collect().await;
    alice.client.send(echo, "and now?").await.unwrap();
    alice.until_received(echo, 2).await;
    mallory.collect().await;
    assert_eq!(mallory.only_contact().await.state, ContactState::Requested);
    drop(bot);
    relay.stop().await;
}
