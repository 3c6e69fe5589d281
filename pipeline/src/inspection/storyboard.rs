//! Small pictures on sheets, and the WebVTT that says when each is shown, as players take them for the preview of a timeline.

use super::image::Image;

/// Longest side of one picture, pixels.
pub(super) const TILE: (usize, usize) = (160, 160);
pub(super) const COLUMNS: usize = 10;
pub(super) const ROWS: usize = 10;
/// Sheets of one clip at most.
pub(super) const SHEETS: usize = (super::groups::BOARD as usize).div_ceil(COLUMNS * ROWS);
const QUALITY: u8 = 70;

/// One picture and when it is shown.
pub(super) struct Tile {
    pub pts_ns: u64,
    pub image: Image,
}

pub(super) struct Made {
    /// JPEG.
    pub sheets: Vec<Vec<u8>>,
    pub vtt: String,
    /// Of one picture.
    pub size: (usize, usize),
}

/// None without pictures. Pictures of another size than the first are made to fit or stand on black.
pub(super) fn make(tiles: &[Tile], duration_ns: u64) -> Result<Option<Made>, String> {
    let Some(first) = tiles.first() else { return Ok(None) };
    let (width, height) = (first.image.width, first.image.height);
    let mut sheets = Vec::new();
    for tiles in tiles.chunks(COLUMNS * ROWS) {
        let (columns, rows) = (tiles.len().min(COLUMNS), tiles.len().div_ceil(COLUMNS));
        let mut sheet = Image::plain(columns * width, rows * height, 16, first.image.colorimetry.clone());
        for (number, tile) in tiles.iter().enumerate() {
            let (x, y) = place(number, (width, height));
            if (tile.image.width, tile.image.height) == (width, height) {
                sheet.paste(&tile.image, x, y);
            } else if let Some(fitting) = tile.image.smaller((width, height)) {
                let inset = |room: usize, side: usize| ((room - side) / 2) & !1;
                sheet.paste(&fitting, x + inset(width, fitting.width), y + inset(height, fitting.height));
            }
        }
        sheets.push(sheet.jpeg(QUALITY)?);
    }
    let times: Vec<u64> = tiles.iter().map(|tile| tile.pts_ns).collect();
    Ok(Some(Made { sheets, vtt: vtt(&times, (width, height), duration_ns), size: (width, height) }))
}

fn place(number: usize, (width, height): (usize, usize)) -> (usize, usize) {
    (number % COLUMNS * width, number / COLUMNS * height)
}

/// Addresses are relative to that of the text. Each picture stands for the time until the next, the first from the beginning.
fn vtt(times: &[u64], size: (usize, usize), duration_ns: u64) -> String {
    let mut text = String::from("WEBVTT\n");
    for number in 0..times.len() {
        let from_ns = if number == 0 { 0 } else { times[number] };
        let to_ns = times.get(number + 1).copied().unwrap_or(duration_ns).max(from_ns + 1_000_000);
        let (sheet, on_sheet) = (number / (COLUMNS * ROWS), number % (COLUMNS * ROWS));
        let ((x, y), (width, height)) = (place(on_sheet, size), size);
        text += &format!(
            "\n{} --> {}\nstoryboard/{sheet}.jpg#xywh={x},{y},{width},{height}\n",
            clock(from_ns),
            clock(to_ns)
        );
    }
    text
}

/// As WebVTT writes it (W3C WebVTT §3.2).
fn clock(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_stands_until_the_next() {
        let second = 1_000_000_000;
        let text = vtt(&[500_000_000, 2 * second, 3661 * second], (160, 90), 4000 * second + 1);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "WEBVTT",
                "",
                "00:00:00.000 --> 00:00:02.000",
                "storyboard/0.jpg#xywh=0,0,160,90",
                "",
                "00:00:02.000 --> 01:01:01.000",
                "storyboard/0.jpg#xywh=160,0,160,90",
                "",
                "01:01:01.000 --> 01:06:40.000",
                "storyboard/0.jpg#xywh=320,0,160,90",
            ]
        );
    }

    #[test]
    fn sheets_are_filled_line_by_line() {
        let times: Vec<u64> = (0..250).map(|at| at * 2_000_000_000).collect();
        let text = vtt(&times, (90, 160), 500_000_000_000);
        assert!(text.contains("storyboard/0.jpg#xywh=810,1440,90,160\n\n00:03:20.000"));
        assert!(text.contains("00:03:20.000 --> 00:03:22.000\nstoryboard/1.jpg#xywh=0,0,90,160"));
        assert!(text.contains("storyboard/2.jpg#xywh=810,640,90,160") && SHEETS == 4);
    }
}
