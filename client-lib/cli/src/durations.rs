//! Times as people say them: `1h`, `7 days`.
//!
//! Knows units; must not know what is timed.

use std::str::FromStr;

use restante_client::Seconds;

/// How long messages are kept after they were read; `None`: without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer(pub(crate) Option<Seconds>);

/// Seconds of each unit, its letter and its name, from the largest.
const UNITS: [(u32, char, &str); 5] = [
    (604_800, 'w', "week"),
    (86_400, 'd', "day"),
    (3_600, 'h', "hour"),
    (60, 'm', "minute"),
    (1, 's', "second"),
];

impl FromStr for Timer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let wrong = "a time is a number of seconds, or one with its unit as in 90m, 1h, 7d, 2w";
        let unit = UNITS.iter().find_map(|(seconds, letter, _)| {
            text.strip_suffix(*letter).map(|number| (number, *seconds))
        });
        let (number, unit) = unit.unwrap_or((text, 1));
        let number: u32 = number.parse().map_err(|_| wrong)?;
        match number.checked_mul(unit) {
            Some(seconds @ 1..) => Ok(Self(Some(Seconds::new(seconds)))),
            Some(0) => Err("no time at all cannot be set; to turn it off say: off"),
            None => Err("the time is too long"),
        }
    }
}

/// A time in words, in the largest unit that says it exactly.
pub(crate) fn words(seconds: u32) -> String {
    let fits = |(unit, _, _): &&(u32, char, &str)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, _, name) = UNITS.iter().find(fits).unwrap_or(&(1, 's', "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        number => format!("{number} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds, units and `off` are understood; what is none is said.
    #[test]
    fn times_are_understood() {
        let seconds = |text: &str| text.parse::<Timer>().map(|timer| timer.0.map(Seconds::get));
        assert_eq!(seconds("off"), Ok(None));
        for (text, number) in [("30", 30), ("45s", 45), ("90m", 5_400), ("1h", 3_600)] {
            assert_eq!(seconds(text), Ok(Some(number)));
        }
        assert_eq!(seconds("7d"), seconds("1w"));
        for wrong in ["", "h", "1y", "-1", "1.5h", "0", "0d", "999999w"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    /// A time is said exactly.
    #[test]
    fn times_are_said_exactly() {
        let said = [1, 60, 5_400, 86_400, 259_200, 1_209_600].map(words);
        assert_eq!(said, ["1 second", "1 minute", "90 minutes", "1 day", "3 days", "2 weeks"]);
    }
}
