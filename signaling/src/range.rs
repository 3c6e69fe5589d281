//! The `Range` header (RFC 9110 §14) for one range of bytes. Pure; what is sent is up to `http/file.rs`.

/// What to send of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range, one that is malformed (to be ignored by §14.2), or several at once (we may ignore those).
    Whole,
    /// Both ends inclusive, within the file.
    Part { first: u64, last: u64 },
    /// Begins past the end: 416.
    Nothing,
}

pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(ranges) = header.and_then(|value| strip_unit(value.trim())) else { return Wanted::Whole };
    let Some((first, last)) = ranges.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number beyond u64 is still a number: past every end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (Some(first), _) if last.is_empty() => part(first, u64::MAX, size),
        (Some(first), Some(last)) if first <= last => part(first, last, size),
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 {
                Wanted::Nothing
            } else {
                part(size.saturating_sub(suffix), u64::MAX, size)
            }
        }
        _ => Wanted::Whole,
    }
}

fn strip_unit(value: &str) -> Option<&str> {
    let (unit, ranges) = value.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(ranges)
}

fn part(first: u64, last: u64, size: u64) -> Wanted {
    if first >= size { Wanted::Nothing } else { Wanted::Part { first, last: last.min(size - 1) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        use Wanted::*;
        for (header, size, expected) in [
            (None, 10, Whole),
            (Some("bytes=0-"), 10, Part { first: 0, last: 9 }),
            (Some("bytes=0-0"), 10, Part { first: 0, last: 0 }),
            (Some("bytes=2-5"), 10, Part { first: 2, last: 5 }),
            (Some("Bytes = 2-5"), 10, Part { first: 2, last: 5 }),
            (Some("bytes=5-500"), 10, Part { first: 5, last: 9 }),
            (Some("bytes=9-"), 10, Part { first: 9, last: 9 }),
            (Some("bytes=10-"), 10, Nothing),
            (Some("bytes=99999999999999999999999-"), 10, Nothing),
            (Some("bytes=0-99999999999999999999999"), 10, Part { first: 0, last: 9 }),
            (Some("bytes=-3"), 10, Part { first: 7, last: 9 }),
            (Some("bytes=-30"), 10, Part { first: 0, last: 9 }),
            (Some("bytes=-0"), 10, Nothing),
            (Some("bytes=0-"), 0, Nothing),
            (Some("bytes=-1"), 0, Nothing),
            (Some("bytes=5-2"), 10, Whole),
            (Some("bytes=a-b"), 10, Whole),
            (Some("bytes=-"), 10, Whole),
            (Some("bytes="), 10, Whole),
            (Some("bytes=+1-2"), 10, Whole),
            (Some("bytes=0-1,3-4"), 10, Whole),
            (Some("items=0-1"), 10, Whole),
            (Some("rubbish"), 10, Whole),
        ] {
            assert_eq!(wanted(header, size), expected, "{header:?} of {size}");
        }
    }
}
