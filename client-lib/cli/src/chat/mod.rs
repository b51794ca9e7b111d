//! `chat`: a conversation line by line; what arrives appears while a person types.
//!
//! Knows events, stdin and the order in which things are shown; must not know the network. What
//! was typed and what arrived share one terminal: a line that arrives is put above the prompt.

mod editor;
mod screen;

use restante_client::{
    Client, ConnectionState, Conversation, Event, EventStream, Fate, Goal, Message, MessageId,
    Position,
};

use self::screen::{Screen, Typed};
use crate::desk::{Desk, conversation_of};
use crate::failure::Failure;
use crate::limits::{CHAT_BEFORE, CHAT_RESYNC, COLLECT_WAIT, EXCERPT};
use crate::names::Names;
use crate::output::{fate_words, message_line, place_of, plain_line};
use crate::text;

/// Talks until the person has enough: end of input, `/quit`, or Ctrl-C.
pub(crate) async fn run(who: &str, desk: &mut Desk) -> Result<(), Failure> {
    if desk.offline {
        return Err(Failure::new("offline", "a chat needs the network; leave out --offline"));
    }
    desk.try_collect().await;
    let conversation = desk.conversation(who).await?;
    let mut events = desk.client.events();
    let names = Names::look_up(&desk.client, &conversation).await?;
    let mut chat = Chat::new(desk, conversation, names);
    chat.begin().await?;
    chat.talk(&mut events).await
}

/// One conversation on the screen.
struct Chat {
    client: Client,
    conversation: Conversation,
    names: Names,
    screen: Screen,
    /// The last message shown that has its place in the log.
    shown: Option<Position>,
    /// Sent in this chat and not yet delivered, in that order.
    sent: Vec<Sent>,
    /// The person was told that there is no connection.
    told_away: bool,
}

/// A message on its way: how it begins, and what the person was told of it.
struct Sent {
    id: MessageId,
    excerpt: String,
    told: Fate,
}

/// What a turn of the conversation leaves to do.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Leave,
}

impl Chat {
    fn new(desk: &Desk, conversation: Conversation, names: Names) -> Self {
        let screen = Screen::take(desk.out);
        Self {
            client: desk.client.clone(),
            conversation,
            names,
            screen,
            shown: None,
            sent: Vec::new(),
            told_away: false,
        }
    }

    /// Shows the end of what was said before.
    async fn begin(&mut self) -> Result<(), Failure> {
        self.client.connect().await?;
        self.show_since(None, CHAT_BEFORE).await?;
        if self.screen.has_prompt() {
            let name = place_of(&self.conversation);
            self.screen.show(&format!("-- {name}: Enter sends, /quit leaves --"));
        }
        Ok(())
    }

    async fn talk(&mut self, events: &mut EventStream) -> Result<(), Failure> {
        let mut state = self.client.state();
        loop {
            let then = tokio::select! {
                typed = self.screen.typed() => match typed? {
                    Typed::Line(line) => self.take_line(&line).await?,
                    Typed::End => Then::Leave,
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
            _ => match self.client.send(self.conversation.id, line.trim_end()).await {
                Ok(message) => {
                    self.screen.object(&message);
                    if self.screen.has_prompt() {
                        self.screen.show(&plain_line(&message, &self.names));
                    }
                    let excerpt = text::excerpt(&message.text, EXCERPT);
                    self.sent.push(Sent { id: message.id, excerpt, told: message.fate });
                }
                Err(error) => self.screen.show(&format!("   {}", Failure::from(error).text)),
            },
        }
        Ok(Then::GoOn)
    }

    async fn take_event(&mut self, event: Event) -> Result<Then, Failure> {
        match event {
            Event::Message(message) if message.from_me() => {}
            Event::Message(message) if message.conversation != self.conversation.id => {
                let from = self.client.conversation(message.conversation).await?;
                let name = place_of(&from);
                self.screen.show(&format!("   (a message in {name})"));
            }
            Event::Message(message) => self.show(&message).await?,
            Event::Changed(message) if message.conversation == self.conversation.id => {
                self.screen.object(&message);
                self.screen.show(&format!("   ~ {}", message_line(&message, &self.names)));
            }
            Event::Fate { conversation, message, fate } if conversation == self.conversation.id => {
                self.take_fate(message, fate).await?;
            }
            // Somebody may be new, or be called something else.
            Event::Contact(_) => self.look_up_names().await?,
            Event::Conversation(conversation) if conversation.id == self.conversation.id => {
                self.conversation = conversation;
                self.look_up_names().await?;
            }
            Event::Notice(notice) => {
                let about = conversation_of(&notice);
                if about.is_none_or(|about| about == self.conversation.id) {
                    self.screen.show(&format!("   {notice}"));
                }
            }
            Event::Resync => self.show_since(self.shown, CHAT_RESYNC).await?,
            _ => {}
        }
        Ok(Then::GoOn)
    }

    async fn look_up_names(&mut self) -> Result<(), Failure> {
        self.names = Names::look_up(&self.client, &self.conversation).await?;
        Ok(())
    }

    async fn take_fate(&mut self, id: MessageId, fate: Fate) -> Result<(), Failure> {
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.id == id && sent.told != fate)
        else {
            return Ok(());
        };
        sent.told = fate;
        let mark = match fate {
            Fate::Accepted => "✓",
            Fate::Delivered | Fate::Read => "✓✓",
            Fate::Queued | Fate::Received => "·",
            Fate::Expired | Fate::Refused(_) => "✗",
        };
        self.screen.show(&format!("   {mark} {}: {}", fate_words(fate), sent.excerpt));
        if self.screen.is_json() {
            let message = self.client.message(id).await?;
            self.screen.object(&message);
        }
        if fate.is_final() {
            self.sent.retain(|sent| sent.id != id);
        }
        Ok(())
    }

    /// The connection is spoken of when it is lost, and when it is back.
    fn take_state(&mut self, state: ConnectionState) {
        let away = match state {
            ConnectionState::Connecting => true,
            ConnectionState::Online => false,
            ConnectionState::Offline | ConnectionState::Collecting => return,
        };
        if away != self.told_away {
            self.told_away = away;
            let words = if away { "(not connected; trying again)" } else { "(connected again)" };
            self.screen.show(&format!("   {words}"));
        }
    }

    /// Shows what stands behind a position, among the newest `limit` messages.
    async fn show_since(&mut self, since: Option<Position>, limit: u32) -> Result<(), Failure> {
        let page = self.client.history(self.conversation.id, None, limit).await?;
        let new = page.iter().filter(|message| since.is_none_or(|at| message.position > at));
        for message in new {
            if since.is_none() || !message.from_me() {
                self.show(message).await?;
            }
        }
        Ok(())
    }

    async fn show(&mut self, message: &Message) -> Result<(), Failure> {
        self.screen.object(message);
        self.screen.show(&message_line(message, &self.names));
        if message.seq.is_some() {
            self.shown = self.shown.max(Some(message.position));
        }
        if !message.from_me() {
            self.client.mark_read(self.conversation.id).await?;
        }
        Ok(())
    }

    /// Nothing that was typed stays behind unsaid if it can be helped.
    async fn finish(&mut self) -> Result<(), Failure> {
        let ids: Vec<MessageId> = self.sent.iter().map(|sent| sent.id).collect();
        for id in ids {
            if self.client.message(id).await?.fate == Fate::Queued {
                // What is too late stays queued, and goes out another time.
                let _ = self.client.wait_fate(id, Goal::Accepted, COLLECT_WAIT).await;
            }
            let now = self.client.message(id).await?.fate;
            self.take_fate(id, now).await?;
            if now == Fate::Queued {
                self.screen.show("   · a message is still queued; restante sync sends it");
            }
        }
        Ok(())
    }
}
