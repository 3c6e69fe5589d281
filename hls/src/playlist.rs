//! The media playlist (RFC 8216bis §4): the segments that there are, in order.
//!
//! It names no type: a broadcast that goes on for days loses its oldest segments, which a playlist of type EVENT must not.

use std::fmt::Write;

use crate::cut::LONGEST_NS;

/// Seconds; no segment is longer. A segment ends with the first unit after [`LONGEST_NS`], which is less than a second later.
pub const TARGET_DURATION: u64 = LONGEST_NS / 1_000_000_000 + 1;

/// One segment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Relative addresses of the segment and of its initialisation segment.
    pub name: String,
    pub init: String,
    pub duration_ns: u64,
    /// Wall clock of its beginning, microseconds since the Unix epoch.
    pub utc_us: u64,
    /// The one before does not lead up to it, in time or in format.
    pub discontinuity: bool,
    /// It was there and cannot be played any more.
    pub gone: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Playlist {
    /// Number of the first entry, counted from the beginning of the broadcast.
    pub sequence: u64,
    /// Discontinuities before the first entry.
    pub discontinuity_sequence: u64,
    /// No more segments will come.
    pub ended: bool,
}

/// Writes the playlist of these segments.
#[must_use]
pub fn playlist<'a>(head: &Playlist, entries: impl Iterator<Item = &'a Entry>) -> String {
    let mut out = String::with_capacity(4096);
    let _ = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:{TARGET_DURATION}\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        head.sequence, head.discontinuity_sequence
    );
    let mut map: Option<&str> = None;
    for (index, entry) in entries.enumerate() {
        if entry.discontinuity && index > 0 {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if map != Some(&entry.init) && !entry.gone {
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}\"", entry.init);
            map = Some(&entry.init);
        }
        if index == 0 || entry.discontinuity {
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(entry.utc_us));
        }
        if entry.gone {
            out.push_str("#EXT-X-GAP\n");
        }
        let us = entry.duration_ns / 1000;
        let _ = write!(out, "#EXTINF:{}.{:06},\n{}\n", us / 1_000_000, us % 1_000_000, entry.name);
    }
    if head.ended {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    out
}

/// ISO 8601 in UTC, to the millisecond (days by Howard Hinnant's `civil_from_days`).
fn date(utc_us: u64) -> String {
    let ms = utc_us.saturating_add(500) / 1000;
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", in_day % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, discontinuity: bool, gone: bool) -> Entry {
        Entry {
            name: name.into(),
            init: "init.mp4".into(),
            duration_ns: 2_000_033_333,
            utc_us: 1_700_000_000_123_456,
            discontinuity,
            gone,
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123_456, "2023-11-14T22:13:20.123Z"),
            (4_102_444_799_999_600, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(date(us), text);
        }
    }

    #[test]
    fn everything_a_player_needs_stands_in_its_place() {
        let head = Playlist { sequence: 7, discontinuity_sequence: 1, ended: true };
        let entries = [entry("a", true, false), entry("b", false, false), entry("c", true, true)];
        let text = playlist(&head, entries.iter());
        let expected = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:11\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-MAP:URI=\"init.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.123Z\n#EXTINF:2.000033,\na\n#EXTINF:2.000033,\nb\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.123Z\n#EXT-X-GAP\n\
            #EXTINF:2.000033,\nc\n#EXT-X-ENDLIST\n";
        assert_eq!(text, expected);
    }
}
