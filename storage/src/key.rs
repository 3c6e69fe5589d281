//! Names of objects. They are made from ids only, never from titles or anything else that people type.
//!
//! A key is `<segment>/<segment>/…` with segments of `a-z 0-9 . _ -` that do not begin with a dot: the same name is safe
//! as an S3 key, as a path on any file system, and in a URL.

use crate::{Id, StorageError};

/// Longest key, in bytes. (S3 allows 1024.)
pub const KEY_BYTES: usize = 512;
/// Longest segment, in bytes. File systems allow 255; the folder store needs a few for itself.
const SEGMENT_BYTES: usize = 128;

/// The key of a clip's file: `<channel>/<broadcast>/<part>-<clip>.<extension>`.
pub fn clip(channel: &str, broadcast: &Id, part: u32, clip: &Id, extension: &str) -> String {
    format!("{channel}/{broadcast}/{part:06}-{clip}.{extension}")
}

/// The key of the file of a clip that somebody had made: `<channel>/<broadcast>/made-<clip>.<extension>`, with the broadcast of its
/// first piece.
pub fn made(channel: &str, broadcast: &Id, clip: &Id, extension: &str) -> String {
    format!("{channel}/{broadcast}/made-{clip}.{extension}")
}

/// The key of a clip's poster, beside its file.
pub fn poster(channel: &str, broadcast: &Id, part: u32, id: &Id) -> String {
    clip(channel, broadcast, part, id, "jpg")
}

/// The key of the JSON description beside a clip's file, from which the database can be rebuilt.
pub fn sidecar(channel: &str, broadcast: &Id, part: u32, id: &Id) -> String {
    clip(channel, broadcast, part, id, "json")
}

/// The key of the JSON description of a broadcast, beside its clips.
pub fn broadcast(channel: &str, id: &Id) -> String {
    format!("{channel}/{id}/broadcast.json")
}

/// Whether `key` is one of those that [`clip`] or [`made`] makes: what is of this shape in a shared bucket is ours.
pub fn is_of_a_clip(key: &str) -> bool {
    let mut segments = key.split('/');
    let (Some(_), Some(broadcast), Some(name), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return false;
    };
    let Some((part, rest)) = name.split_once('-') else { return false };
    let Some((id, extension)) = rest.split_once('.') else { return false };
    let is_part = part == "made" || part.len() >= 6 && part.bytes().all(|b| b.is_ascii_digit());
    is_part && !extension.is_empty() && check(key).is_ok() && [broadcast, id].iter().all(|id| id.parse::<Id>().is_ok())
}

/// Whether `key` is a name that a store accepts.
///
/// # Errors
/// [`StorageError::Invalid`] naming the rule.
pub fn check(key: &str) -> Result<(), StorageError> {
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(StorageError::Invalid(format!("a key has 1 to {KEY_BYTES} bytes")));
    }
    for segment in key.split('/') {
        if segment.is_empty() || segment.len() > SEGMENT_BYTES || segment.starts_with('.') {
            return Err(StorageError::Invalid(format!(
                "a segment of a key has 1 to {SEGMENT_BYTES} bytes and does not begin with a dot"
            )));
        }
    }
    check_alphabet(key)
}

/// Whether `prefix` can begin a key; the empty prefix begins all.
///
/// # Errors
/// [`StorageError::Invalid`] naming the rule.
pub fn check_prefix(prefix: &str) -> Result<(), StorageError> {
    if prefix.len() > KEY_BYTES || prefix.starts_with('/') || prefix.split('/').any(|s| s.starts_with('.')) {
        return Err(StorageError::Invalid("no key begins like this".into()));
    }
    check_alphabet(prefix)
}

fn check_alphabet(text: &str) -> Result<(), StorageError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if text.bytes().all(fits) {
        Ok(())
    } else {
        Err(StorageError::Invalid("a key is made of a-z, 0-9, '.', '_', '-' and '/'".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_clip_lie_side_by_side() {
        let (live, id) = (Id::new(1, 1), Id::new(2, 2));
        let file = clip("main", &live, 7, &id, "mp4");
        assert_eq!(file, format!("main/{live}/000007-{id}.mp4"));
        for key in [file, poster("main", &live, 7, &id), sidecar("main", &live, 7, &id), broadcast("main", &live)] {
            assert_eq!(check(&key), Ok(()));
            assert!(key.starts_with(&format!("main/{live}/")));
        }
    }

    #[test]
    fn only_keys_of_clips_are_taken_for_such() {
        let (live, id) = (Id::new(1, 1), Id::new(2, 2));
        let key = clip("main", &live, 7, &id, "mp4");
        assert!(is_of_a_clip(&key) && is_of_a_clip(&poster("main", &live, 1_234_567, &id)));
        let others = [
            "",
            "main/a.mp4",
            &broadcast("main", &live),
            &format!("x/{key}"),
            &key.replace("000007-", "7-"),
            &key[..key.len() - 4],
        ];
        for other in others {
            assert!(!is_of_a_clip(other), "{other}");
        }
    }

    #[test]
    fn nothing_leaves_the_store() {
        for key in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "a//b",
            "a/",
            ".hidden",
            "a/.b",
            "a\\b",
            "a\0b",
            "a b",
            "A",
            "é",
            "a%2e%2e",
            "c:x",
            &"a".repeat(SEGMENT_BYTES + 1),
            &"a/".repeat(KEY_BYTES),
        ] {
            assert!(matches!(check(key), Err(StorageError::Invalid(_))), "{key:?}");
        }
    }

    #[test]
    fn prefixes_are_as_narrow_as_keys() {
        for prefix in ["", "main", "main/", "main/0"] {
            assert_eq!(check_prefix(prefix), Ok(()));
        }
        for prefix in ["/", "..", "main/..", "a/.b", "A", "a\0"] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
