//! The header that makes a browser save a download under a name that people gave.

/// A `Content-Disposition: attachment` for `filename`: RFC 6266, with an ASCII fallback. Nothing in the name can end the
/// header or lead to another folder.
pub fn content_disposition(filename: &str) -> String {
    let forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    let name: String = filename.chars().map(|c| if forbidden(c) { '_' } else { c }).take(150).collect();
    let name = name.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let name = if name.is_empty() { "clip" } else { name };
    let ascii: String = name.chars().map(|c| if c.is_ascii() && c != '%' { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_break_a_header_or_leave_a_folder() {
        for (name, expected) in [
            ("clip.mp4", "attachment; filename=\"clip.mp4\"; filename*=UTF-8''clip.mp4"),
            ("a\"b\r\nX: y", "attachment; filename=\"a_b__X_ y\"; filename*=UTF-8''a_b__X_%20y"),
            ("../../etc/passwd", "attachment; filename=\"_.._etc_passwd\"; filename*=UTF-8''_.._etc_passwd"),
            ("ü%", "attachment; filename=\"__\"; filename*=UTF-8''%C3%BC%25"),
            ("...", "attachment; filename=\"clip\"; filename*=UTF-8''clip"),
        ] {
            assert_eq!(content_disposition(name), expected);
        }
        assert!(content_disposition(&"日".repeat(10_000)).len() < 2_000);
    }
}
