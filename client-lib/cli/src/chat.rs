//! `chat`: a conversation line by line; what arrives appears while a person types.
//!
//! Knows events, stdin and the order in which things are shown; must not know the network. What
//! was typed and what arrived share one terminal: a line that arrives is put above the prompt.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use restante_client::{
    Client, ConnectionState, Contact, Event, EventStream, Fate, Goal, Message, MessageId, Position,
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::desk::{Desk, contact_of};
use crate::failure::Failure;
use crate::json::MessageLine;
use crate::limits::{CHAT_BEFORE, CHAT_RESYNC, COLLECT_WAIT, EXCERPT};
use crate::output::{Output, fate_words, message_line, name_of};
use crate::text;

/// Talks until the person has enough: end of input, `/quit`, or Ctrl-C.
pub(crate) async fn run(who: &str, desk: &mut Desk) -> Result<(), Failure> {
    if desk.offline {
        return Err(Failure::new("offline", "a chat needs the network; leave out --offline"));
    }
    desk.try_collect().await;
    let contact = desk.contact(who).await?;
    let mut events = desk.client.events();
    let mut chat = Chat::new(desk, contact);
    chat.begin().await?;
    let done = chat.talk(&mut events).await;
    chat.screen.leave();
    done
}

/// One conversation on the screen.
struct Chat {
    client: Client,
    contact: Contact,
    name: String,
    screen: Screen,
    /// The last message shown that has its place in the log.
    shown: Option<Position>,
    /// Sent in this chat and not yet delivered: how each begins.
    sent: BTreeMap<MessageId, String>,
}

/// What a turn of the conversation leaves to do.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Leave,
}

impl Chat {
    fn new(desk: &Desk, contact: Contact) -> Self {
        let name = name_of(&contact);
        let screen = Screen::new(desk.out);
        Self {
            client: desk.client.clone(),
            contact,
            name,
            screen,
            shown: None,
            sent: BTreeMap::new(),
        }
    }

    /// Shows the end of what was said before.
    async fn begin(&mut self) -> Result<(), Failure> {
        self.client.connect().await?;
        self.show_since(None, CHAT_BEFORE).await?;
        if self.screen.is_prompting() {
            self.screen.show(&format!("-- {}: type, and Enter sends; /quit leaves --", self.name));
        }
        self.screen.prompt();
        Ok(())
    }

    async fn talk(&mut self, events: &mut EventStream) -> Result<(), Failure> {
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        let mut state = self.client.state();
        loop {
            let then = tokio::select! {
                line = next_line(&mut input) => match line? {
                    Some(line) => self.take_line(&line).await?,
                    None => Then::Leave,
                },
                event = events.next() => match event {
                    Some(event) => self.take_event(event).await?,
                    None => Then::Leave,
                },
                Ok(()) = state.changed() => {
                    let now = *state.borrow_and_update();
                    self.take_state(now);
                    Then::GoOn
                }
                _ = tokio::signal::ctrl_c() => Then::Leave,
            };
            if then == Then::Leave {
                return self.finish().await;
            }
        }
    }

    /// What the person has typed.
    async fn take_line(&mut self, line: &str) -> Result<Then, Failure> {
        match line.trim() {
            "" => {}
            "/quit" => return Ok(Then::Leave),
            _ => match self.client.send(self.contact.id, line.trim_end()).await {
                Ok(message) => {
                    self.screen.object(&message);
                    self.sent.insert(message.id, text::excerpt(&message.text, EXCERPT));
                }
                Err(error) => self.screen.show(&format!("   {}", Failure::from(error).text)),
            },
        }
        self.screen.prompt();
        Ok(Then::GoOn)
    }

    async fn take_event(&mut self, event: Event) -> Result<Then, Failure> {
        match event {
            Event::Message(message) if message.from_me => {}
            Event::Message(message) if message.contact != self.contact.id => {
                let from = self.client.contact(message.contact).await?;
                self.screen.show(&format!("   (a message from {})", name_of(&from)));
            }
            Event::Message(message) => self.show(&message).await?,
            Event::Fate { contact, message, fate } if contact == self.contact.id => {
                self.take_fate(message, fate).await?;
            }
            Event::Contact(contact) if contact.id == self.contact.id => {
                self.name = name_of(&contact);
                self.contact = contact;
            }
            Event::Notice(notice) => {
                let about = contact_of(&notice);
                if about.is_none_or(|about| about == self.contact.id) {
                    self.screen.show(&format!("   {notice}"));
                }
            }
            Event::Resync => self.show_since(self.shown, CHAT_RESYNC).await?,
            _ => {}
        }
        Ok(Then::GoOn)
    }

    async fn take_fate(&mut self, id: MessageId, fate: Fate) -> Result<(), Failure> {
        let Some(excerpt) = self.sent.get(&id) else { return Ok(()) };
        let mark = match fate {
            Fate::Accepted => "✓",
            Fate::Delivered => "✓✓",
            Fate::Queued | Fate::Received => "·",
            Fate::Expired | Fate::Refused(_) => "✗",
        };
        self.screen.show(&format!("   {mark} {}: {excerpt}", fate_words(fate)));
        if self.screen.out.is_json() {
            let message = self.client.message(id).await?;
            self.screen.object(&message);
        }
        if fate.is_final() {
            self.sent.remove(&id);
        }
        Ok(())
    }

    fn take_state(&mut self, state: ConnectionState) {
        match state {
            ConnectionState::Connecting => self.screen.show("   (not connected; trying again)"),
            ConnectionState::Online => self.screen.show("   (connected)"),
            ConnectionState::Offline | ConnectionState::Collecting => {}
        }
    }

    /// Shows what stands behind a position, among the newest `limit` messages.
    async fn show_since(&mut self, since: Option<Position>, limit: u32) -> Result<(), Failure> {
        let page = self.client.history(self.contact.id, None, limit).await?;
        let new = page.iter().filter(|message| since.is_none_or(|at| message.position > at));
        for message in new {
            if since.is_none() || !message.from_me {
                self.show(message).await?;
            }
        }
        Ok(())
    }

    async fn show(&mut self, message: &Message) -> Result<(), Failure> {
        self.screen.object(message);
        let who = if message.from_me { "you" } else { &self.name };
        self.screen.show(&message_line(message, who));
        if message.seq.is_some() {
            self.shown = self.shown.max(Some(message.position));
        }
        if !message.from_me {
            self.client.mark_read(self.contact.id).await?;
        }
        Ok(())
    }

    /// Nothing that was typed stays behind unsaid if it can be helped.
    async fn finish(&mut self) -> Result<(), Failure> {
        let ids: Vec<MessageId> = self.sent.keys().copied().collect();
        for id in ids {
            let before = self.client.message(id).await?.fate;
            if before == Fate::Queued {
                // Too late is queued still, and that is said.
                let _ = self.client.wait_fate(id, Goal::Accepted, COLLECT_WAIT).await;
                let now = self.client.message(id).await?.fate;
                self.take_fate(id, now).await?;
            }
        }
        Ok(())
    }
}

/// The terminal, or whatever stdout is.
struct Screen {
    out: Output,
    /// A person types here, so there is a prompt to keep below everything.
    prompting: bool,
}

impl Screen {
    fn new(out: Output) -> Self {
        Self { out, prompting: out.is_terminal() && io::stdin().is_terminal() }
    }

    const fn is_prompting(&self) -> bool {
        self.prompting
    }

    /// A line above the prompt.
    fn show(&self, line: &str) {
        if self.prompting {
            self.write("\r\x1b[K");
        }
        self.out.say(line);
        self.prompt();
    }

    fn object(&self, message: &Message) {
        self.out.object(&MessageLine::from(message));
    }

    fn prompt(&self) {
        if self.prompting {
            self.write("> ");
        }
    }

    /// Leaves the prompt's line.
    fn leave(&self) {
        if self.prompting {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        let mut out = io::stdout().lock();
        // A terminal that is gone needs no prompt.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

async fn next_line(input: &mut Lines<BufReader<Stdin>>) -> Result<Option<String>, Failure> {
    let failure = |error| Failure::new("stdin", format!("stdin cannot be read: {error}"));
    input.next_line().await.map_err(failure)
}
