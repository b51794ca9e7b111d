//! What reads an operator's words here, for fuzzing: thin, and only with the feature `simulation`.

use super::admin::Request;

/// Reads a line of the operator's socket; the line that asks for the same, if it asks for anything.
#[must_use]
pub fn admin(line: &str) -> Option<String> {
    let request = Request::read(line)?;
    let again = request.line();
    assert_eq!(Request::read(&again), Some(request), "asked otherwise");
    Some(again)
}
