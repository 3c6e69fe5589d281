//! A finished clip is looked at: poster candidates, storyboard, waveform, and what is wrong with it that a file alone can show.
//!
//! Runs in a worker process, on the file and nothing else. Recording must stay cheap, so pictures of all but short clips are not decoded but at
//! keyframes a few seconds apart, at both ends, and around what looks suspicious: groups of pictures that take no bytes, or in pulses, or whose
//! keyframes are black or alike. All sound is decoded. How much of each is found, and what is not: `docs/health.md`.
//!
//! Not here: what a finding costs (recorder), the decoding of whole clips for tests ([`crate::inspect`]).

mod flashes;
mod groups;
mod image;
mod look;
mod posters;
mod sound;
mod standing;
mod storyboard;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::groups::Groups;
use self::look::{Look, Looked};
use self::standing::Span;
use self::survey::Survey;
use crate::job::{Container, ExportError};

/// Clips that are no longer, and have no more pictures, are decoded as a whole.
const WHOLE_NS: u64 = 60_000_000_000;
const WHOLE: usize = 2000;
/// Pictures that are decoded to see whether they flash, of longer ones.
const FLASHES: usize = 180;
/// Pictures of the first and of the last group that are decoded in any case.
const ENDS: usize = 30;
/// Findings that are told; the longest. More: their time is counted and they are not told one by one.
const FINDINGS: usize = 32;
/// Passes that look further where something suspicious goes on beyond what was looked at.
const ROUNDS: usize = 4;

/// A finished clip that is to be looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectJob {
    pub file: PathBuf,
    pub container: Container,
    /// Where the results go. It must exist.
    pub directory: PathBuf,
    /// The results are called `<stem>.poster-0.jpg`, `<stem>.storyboard-0.jpg`, `<stem>.storyboard.vtt` and `<stem>.waveform`.
    pub stem: String,
}

/// What was found. All files are whole and synced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// JPEG, the best first; none without a picture that can be decoded.
    pub posters: Vec<Poster>,
    pub storyboard: Option<Storyboard>,
    /// JSON of the audiowaveform format, version 2.
    pub waveform: Option<PathBuf>,
    /// Milliseconds of picture, or sound, that are as [`Trouble`] says.
    pub black_ms: u64,
    pub frozen_ms: u64,
    pub held_ms: u64,
    pub silent_ms: u64,
    pub flashing_ms: u64,
    pub spoilt_ms: u64,
    /// In order of time.
    pub findings: Vec<Finding>,
    /// Integrated loudness (EBU R 128), tenths of LUFS. None without sound, and when all of it is below the gate.
    pub loudness_lufs_x10: Option<i32>,
    /// How much later sound is than picture at both ends of the file, milliseconds; negative: earlier. None unless there are both.
    pub av_offset_ms: Option<i32>,
}

/// A picture that could stand for the clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poster {
    pub file: PathBuf,
    /// On the file's timeline.
    pub at_ms: u64,
}

/// Small pictures of the clip in order of time, line by line on sheets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storyboard {
    /// JPEG.
    pub sheets: Vec<PathBuf>,
    /// WebVTT that says which part of which sheet is shown when.
    pub index: PathBuf,
    /// Pictures beside and below each other on a full sheet.
    pub columns: u16,
    pub rows: u16,
    /// Pixels of one picture.
    pub width: u16,
    pub height: u16,
}

/// One thing that is wrong, on the file's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub trouble: Trouble,
    pub from_ms: u64,
    pub to_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trouble {
    /// At least 2 s of pictures that are black.
    Black,
    /// At least 2 s of pictures that are alike.
    Frozen,
    /// At least 2 s without a picture: the last one stands.
    Held,
    /// At least 3 s of sound below -60 dBFS, or without any, in a clip that has sound.
    Silent,
    /// More than three flashes within a second, over more than a quarter of the picture.
    Flashing,
    /// From a picture that does not decode, or not without complaint, to the next keyframe.
    Spoilt,
}

impl InspectJob {
    fn temporary(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{}.tmp.{name}", self.stem))
    }

    /// A second more for each megabyte: a file of hours is read several times.
    pub(crate) fn time_limit(&self, least: Duration) -> Duration {
        least + Duration::from_secs(std::fs::metadata(&self.file).map_or(0, |file| file.len() >> 20))
    }

    /// What a job that did not finish may have left behind.
    pub(crate) fn remove_temporaries(&self) {
        let posters = (0..posters::CANDIDATES).map(poster_name);
        let sheets = (0..storyboard::SHEETS).map(sheet_name);
        let rest = [INDEX, WAVEFORM].map(String::from);
        for path in posters.chain(sheets).chain(rest).map(|name| self.temporary(&name)) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(file = %path.display(), %error, "a temporary file stays behind");
                }
                _ => {}
            }
        }
    }
}

const INDEX: &str = "storyboard.vtt";
const WAVEFORM: &str = "waveform";

fn poster_name(number: usize) -> String {
    format!("poster-{number}.jpg")
}

fn sheet_name(number: usize) -> String {
    format!("storyboard-{number}.jpg")
}

/// Results under their temporary names, until all are there.
struct Results<'a> {
    job: &'a InspectJob,
    written: Vec<String>,
}

impl Results<'_> {
    /// Writes a result and syncs it; its final name.
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, ExportError> {
        let path = self.job.temporary(name);
        std::fs::write(&path, bytes)?;
        File::open(&path)?.sync_all()?;
        self.written.push(name.to_owned());
        Ok(self.job.directory.join(format!("{}.{name}", self.job.stem)))
    }

    fn name(self) -> Result<(), ExportError> {
        for name in self.written {
            std::fs::rename(self.job.temporary(&name), self.job.directory.join(format!("{}.{name}", self.job.stem)))?;
        }
        Ok(File::open(&self.job.directory)?.sync_all()?)
    }
}

/// `least` is what a pass over a short file may take; the supervisor bounds the whole.
pub(crate) fn inspect(job: &InspectJob, least: Duration) -> Result<Inspected, ExportError> {
    let timeout = job.time_limit(least);
    let survey = survey::survey(job, timeout)?;
    let mut results = Results { job, written: Vec::new() };
    let mut spans = Vec::new();
    let mut inspected = Inspected { av_offset_ms: survey.av_offset_ms(), ..Inspected::default() };
    if let Some(levels) = &survey.sound {
        spans.extend(levels.silences(survey.duration_ns).into_iter().map(|span| (Trouble::Silent, span)));
        inspected.loudness_lufs_x10 = levels.loudness_lufs_x10();
        inspected.waveform = Some(results.write(WAVEFORM, levels.waveform(survey.duration_ns).as_bytes())?);
    }
    if !survey.samples.is_empty() {
        spans.extend(pictures(&survey, timeout, &mut inspected, &mut results)?);
    }
    results.name()?;
    tell(&mut inspected, spans);
    Ok(inspected)
}

/// Looks at the pictures; where they are not as they should be.
fn pictures(
    survey: &Survey,
    timeout: Duration,
    inspected: &mut Inspected,
    results: &mut Results<'_>,
) -> Result<Vec<(Trouble, Span)>, ExportError> {
    let job = results.job;
    let groups = Groups::of(&survey.samples, survey.duration_ns);
    let board = groups.board(survey.duration_ns);
    let mut plan = groups.around(&groups.quiet(survey.pixels()));
    plan.look.extend(&board);
    plan.decode.extend(&board);
    plan.decode.extend(in_any_case(survey, &groups));
    let mut seen = Looked::default();
    look::look(job, survey, &plan, &board, timeout, &mut seen)?;
    let mut wanted = suspicious(&groups, &board, &seen.looks);
    for _ in 0..ROUNDS {
        wanted.extend(standing::open_ends(&groups, &plan.groups, &seen.looks));
        let more = groups.around(&wanted).without(&plan.groups, &groups);
        if more.look.is_empty() {
            break;
        }
        look::look(job, survey, &more, &BTreeSet::new(), timeout, &mut seen)?;
        plan.groups.extend(more.groups);
        wanted.clear();
    }

    let held = standing::held(&survey.samples, survey.duration_ns);
    let (black, frozen) = standing::evaluate(&groups, &plan.groups, &seen.looks, &held);
    let told = |trouble, spans: Vec<Span>| spans.into_iter().map(move |span| (trouble, span));
    let found = told(Trouble::Held, held).chain(told(Trouble::Black, black)).chain(told(Trouble::Frozen, frozen));

    for (number, (at_ns, jpeg)) in seen.posters.finish().map_err(ExportError::Io)?.into_iter().enumerate() {
        let file = results.write(&poster_name(number), &jpeg)?;
        inspected.posters.push(Poster { file, at_ms: at_ns / 1_000_000 });
    }
    if let Some(made) = storyboard::make(&seen.tiles, survey.duration_ns).map_err(ExportError::Io)? {
        let mut sheets = Vec::new();
        for (number, sheet) in made.sheets.iter().enumerate() {
            sheets.push(results.write(&sheet_name(number), sheet)?);
        }
        let index = results.write(INDEX, made.vtt.as_bytes())?;
        let [columns, rows, width, height] =
            [storyboard::COLUMNS, storyboard::ROWS, made.size.0, made.size.1].map(|number| number as u16);
        inspected.storyboard = Some(Storyboard { sheets, index, columns, rows, width, height });
    }
    let flashes = flashes::flashes(&groups, &seen.grids);
    let found = found.chain(told(Trouble::Flashing, flashes));
    Ok(found.chain(told(Trouble::Spoilt, spoilt(&groups, &seen.spoilt))).collect())
}

/// Pictures that are decoded whatever they are: all of a short clip; of a longer one those at its ends, and where it may flash.
fn in_any_case(survey: &Survey, groups: &Groups<'_>) -> BTreeSet<usize> {
    if survey.duration_ns <= WHOLE_NS && survey.samples.len() <= WHOLE {
        return (0..groups.len()).flat_map(|group| groups.pictures(group)).collect();
    }
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    for group in [0, groups.len().saturating_sub(1)] {
        wanted.extend(groups.pictures(group).take(ENDS));
    }
    let mut left = FLASHES;
    for pictures in groups.pulsing().into_iter().map(|group| groups.pictures(group)) {
        if pictures.len() > left {
            break;
        }
        left -= pictures.len();
        wanted.extend(pictures);
    }
    wanted
}

/// Each from its first picture that is spoilt to the next keyframe: what is in between refers to it.
fn spoilt(groups: &Groups<'_>, pictures: &BTreeSet<usize>) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for at in pictures {
        let Some(group) = groups.holding(*at) else { continue };
        let span = Span { from_ns: groups.pts_ns(*at), to_ns: groups.end_ns(group) };
        if found.last().is_none_or(|last| last.to_ns < span.to_ns) {
            found.push(span);
        }
    }
    found
}

/// Groups between pictures of the storyboard that are alike, and beside those that are black.
fn suspicious(groups: &Groups<'_>, board: &BTreeSet<usize>, looks: &BTreeMap<usize, Look>) -> BTreeSet<usize> {
    let seen: Vec<(usize, &Look)> =
        board.iter().filter_map(|at| Some((groups.holding(*at)?, looks.get(at)?))).collect();
    let mut found = BTreeSet::new();
    for pair in seen.windows(2) {
        let ((one, before), (next, after)) = (pair[0], pair[1]);
        if before.dark || after.dark || before.is_like(after) {
            found.extend(one..next);
        }
    }
    if let Some((last, _)) = seen.last().filter(|(_, look)| look.dark) {
        found.extend(*last..groups.len());
    }
    found
}

fn tell(inspected: &mut Inspected, spans: Vec<(Trouble, Span)>) {
    let mut findings: Vec<Finding> = spans
        .into_iter()
        .map(|(trouble, span)| Finding {
            trouble,
            from_ms: span.from_ns / 1_000_000,
            to_ms: span.to_ns.div_ceil(1_000_000),
        })
        .collect();
    let total =
        |wanted: Trouble| -> u64 { findings.iter().filter(|f| f.trouble == wanted).map(|f| f.to_ms - f.from_ms).sum() };
    inspected.black_ms = total(Trouble::Black);
    inspected.frozen_ms = total(Trouble::Frozen);
    inspected.held_ms = total(Trouble::Held);
    inspected.silent_ms = total(Trouble::Silent);
    inspected.flashing_ms = total(Trouble::Flashing);
    inspected.spoilt_ms = total(Trouble::Spoilt);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.to_ms - finding.from_ms));
    findings.truncate(FINDINGS);
    findings.sort_by_key(|finding| (finding.from_ms, finding.trouble));
    inspected.findings = findings;
}
