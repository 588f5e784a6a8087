//! `--timefmt`: the time of an event in the local time zone and the C locale.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use tz::{DateTime, TimeZone};

/// Writes the current time in one format.
pub struct Clock {
    format: Vec<u8>,
    zone: TimeZone,
    /// The last second and its text. `None` if the text can change within a second.
    last: Option<(i64, Vec<u8>)>,
}

impl Clock {
    pub fn new(format: &[u8]) -> Self {
        // libc also uses UTC if the time zone is missing or invalid.
        let zone = match env::var("TZ") {
            Ok(zone) => TimeZone::from_posix_tz(&zone),
            Err(_) => TimeZone::local(),
        };
        let zone = zone.unwrap_or_else(|_| TimeZone::utc());
        Self { format: plain(format), zone, last: None }
    }

    /// Appends the current time.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match &self.last {
            Some((then, text)) if *then == seconds => out.extend_from_slice(text),
            _ => {
                let text = self.at(seconds, now.subsec_nanos());
                out.extend_from_slice(&text);
                let fine = self.format.iter().any(|byte| b"NL".contains(byte));
                self.last = (!fine).then_some((seconds, text));
            }
        }
    }

    fn at(&self, seconds: i64, nanoseconds: u32) -> Vec<u8> {
        let zone = self.zone.as_ref();
        // Fails only for times outside the range of the zone, far from today.
        let Ok(time) = DateTime::from_timespec(seconds, nanoseconds, zone) else {
            return Vec::new();
        };
        strftime::bytes::strftime(&Moment(time), &self.format).unwrap_or_default()
    }
}

/// Removes the modifiers `E` and `O` (another calendar, other digits): the C locale ignores them.
fn plain(format: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(format.len());
    let mut rest = format;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        plain.push(byte);
        if byte == b'%' {
            rest = match rest {
                [b'E' | b'O', after @ ..] if !after.is_empty() => after,
                [b'%', after @ ..] => {
                    plain.push(b'%');
                    after
                }
                other => other,
            };
        }
    }
    plain
}

/// A time as `strftime` reads it.
struct Moment(DateTime);

impl strftime::Time for Moment {
    fn year(&self) -> i32 {
        self.0.year()
    }

    fn month(&self) -> u8 {
        self.0.month()
    }

    fn day(&self) -> u8 {
        self.0.month_day()
    }

    fn hour(&self) -> u8 {
        self.0.hour()
    }

    fn minute(&self) -> u8 {
        self.0.minute()
    }

    fn second(&self) -> u8 {
        self.0.second()
    }

    fn nanoseconds(&self) -> u32 {
        self.0.nanoseconds()
    }

    fn day_of_week(&self) -> u8 {
        self.0.week_day()
    }

    fn day_of_year(&self) -> u16 {
        // `tz` counts from 0, `strftime` from 1.
        self.0.year_day().saturating_add(1)
    }

    fn to_int(&self) -> i64 {
        self.0.unix_time()
    }

    fn is_utc(&self) -> bool {
        self.0.local_time_type().ut_offset() == 0
    }

    fn utc_offset(&self) -> i32 {
        self.0.local_time_type().ut_offset()
    }

    fn time_zone(&self) -> &str {
        self.0.local_time_type().time_zone_designation()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn formats_print_the_same_as_date() {
        let letters = b"aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ%";
        let mut formats: Vec<String> =
            letters.iter().map(|&letter| format!("%{}", char::from(letter))).collect();
        formats.extend(
            ["%Y-%m-%dT%H:%M:%S%z", "%Ey %Od", "%_d|%-d|%3d|%^a", "x%%Ey", "é%Y"].map(String::from),
        );
        for zone in ["UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "XYZ9:30"] {
            for seconds in [0, 951_782_400, 1_704_067_199, 1_735_689_600, 1_750_000_000] {
                for format in &formats {
                    let output = Command::new("date")
                        .env("TZ", zone)
                        .env("LC_ALL", "C")
                        .args([format!("-d@{seconds}"), format!("+{format}")])
                        .output()
                        .unwrap();
                    let expected = output.stdout.strip_suffix(b"\n").unwrap();
                    let zone = TimeZone::from_posix_tz(zone).unwrap();
                    let clock = Clock { format: plain(format.as_bytes()), zone, last: None };
                    let ours = clock.at(seconds, 0);
                    assert_eq!(
                        String::from_utf8_lossy(&ours),
                        String::from_utf8_lossy(expected),
                        "{format} at {seconds} in {:?}",
                        clock.zone
                    );
                }
            }
        }
    }
}
