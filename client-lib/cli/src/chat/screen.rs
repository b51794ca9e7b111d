//! The terminal of a chat: what is said scrolls by, the line being typed stays below.
//!
//! Knows stdin, stdout and the raw mode of a terminal; must not know messages' meaning. Where
//! stdin is no terminal lines are read as they are, and there is no prompt.

use std::io::{self, IsTerminal, Write};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use futures_util::StreamExt;
use restante_client::Message;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use super::editor::{Editor, Key};
use crate::failure::Failure;
use crate::json::MessageLine;
use crate::limits::COLUMNS;
use crate::output::Output;

/// What stands before the line being typed.
const PROMPT: &str = "> ";

/// The terminal, or whatever stdin and stdout are.
pub(super) struct Screen {
    out: Output,
    keyboard: Keyboard,
}

/// Where lines come from.
enum Keyboard {
    /// A person at a terminal that is ours while this lives.
    Keys { keys: EventStream, editor: Editor },
    /// A file, a pipe, another program.
    Lines(Lines<BufReader<Stdin>>),
}

/// What the person wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line is finished.
    Line(String),
    /// Enough.
    End,
}

impl Screen {
    /// Takes the terminal if a person sits at it.
    pub(super) fn take(out: Output) -> Self {
        let wanted = out.is_terminal() && io::stdin().is_terminal();
        let keyboard = if wanted && terminal::enable_raw_mode().is_ok() {
            Keyboard::Keys { keys: EventStream::new(), editor: Editor::default() }
        } else {
            Keyboard::Lines(BufReader::new(tokio::io::stdin()).lines())
        };
        Self { out, keyboard }
    }

    /// Whether a person types at a terminal.
    pub(super) const fn has_prompt(&self) -> bool {
        matches!(self.keyboard, Keyboard::Keys { .. })
    }

    /// Whether a program reads.
    pub(super) const fn is_json(&self) -> bool {
        self.out.is_json()
    }

    /// The next line. May be given up and asked again: nothing typed is lost.
    pub(super) async fn typed(&mut self) -> Result<Typed, Failure> {
        let failure = |error| Failure::new("stdin", format!("stdin cannot be read: {error}"));
        loop {
            match &mut self.keyboard {
                Keyboard::Lines(lines) => {
                    let line = lines.next_line().await.map_err(failure)?;
                    return Ok(line.map_or(Typed::End, Typed::Line));
                }
                Keyboard::Keys { keys, editor } => match keys.next().await {
                    None => return Ok(Typed::End),
                    Some(event) => {
                        let typed = take_event(&event.map_err(failure)?, editor);
                        self.draw();
                        if let Some(typed) = typed {
                            return Ok(typed);
                        }
                    }
                },
            }
        }
    }

    /// A line above the prompt, for a person.
    pub(super) fn show(&self, line: &str) {
        if self.has_prompt() {
            // In raw mode a new line begins where the last one ended, unless told otherwise.
            write(&format!("\r\x1b[K{}\r\n", line.replace('\n', "\r\n")));
            self.draw();
        } else {
            self.out.say(line);
        }
    }

    /// A message, for a program.
    pub(super) fn object(&self, message: &Message) {
        self.out.object(&MessageLine::from(message));
    }

    /// The prompt with what was typed up to now.
    pub(super) fn draw(&self) {
        if let Keyboard::Keys { editor, .. } = &self.keyboard {
            let columns = match terminal::size() {
                Ok((columns @ 1.., _)) => usize::from(columns),
                // A terminal that does not tell its size.
                Ok((0, _)) | Err(_) => COLUMNS,
            };
            let (text, cursor) = editor.view(columns.saturating_sub(PROMPT.len()));
            let column = PROMPT.len() + cursor;
            write(&format!("\r\x1b[K{PROMPT}{text}\r\x1b[{column}C"));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.has_prompt() {
            write("\r\x1b[K");
            // Nothing can be done about a terminal that does not come back.
            let _ = terminal::disable_raw_mode();
        }
    }
}

/// What a key does: to the line, or to the chat.
fn take_event(event: &Event, editor: &mut Editor) -> Option<Typed> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    let control = modifiers.contains(KeyModifiers::CONTROL);
    let key = match code {
        KeyCode::Enter => return Some(Typed::Line(editor.take())),
        KeyCode::Char('c') if control => return Some(Typed::End),
        KeyCode::Char('d') if control && editor.is_empty() => return Some(Typed::End),
        KeyCode::Char('u') if control => Key::DeleteLine,
        KeyCode::Char('w') if control => Key::DeleteWord,
        KeyCode::Char('a') if control => Key::Home,
        KeyCode::Char('e') if control => Key::End,
        KeyCode::Char('h') if control => Key::Backspace,
        KeyCode::Char(c) if !control && !c.is_control() => Key::Char(*c),
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    };
    editor.handle(key);
    None
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    // A terminal that is gone needs no prompt.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(editor: &mut Editor, code: KeyCode, modifiers: KeyModifiers) -> Option<Typed> {
        take_event(&Event::Key(KeyEvent::new(code, modifiers)), editor)
    }

    /// Enter says the line, Ctrl-D leaves only when nothing would be lost, Ctrl-C always leaves.
    #[test]
    fn keys_say_and_leave() {
        let mut editor = Editor::default();
        let none = KeyModifiers::NONE;
        assert_eq!(press(&mut editor, KeyCode::Char('h'), none), None);
        assert_eq!(press(&mut editor, KeyCode::Char('i'), none), None);
        assert_eq!(press(&mut editor, KeyCode::Char('d'), KeyModifiers::CONTROL), None);
        let said = press(&mut editor, KeyCode::Enter, none);
        assert_eq!(said, Some(Typed::Line("hi".to_owned())));
        let control = KeyModifiers::CONTROL;
        assert_eq!(press(&mut editor, KeyCode::Char('d'), control), Some(Typed::End));
        assert_eq!(press(&mut editor, KeyCode::Char('c'), control), Some(Typed::End));
    }
}
