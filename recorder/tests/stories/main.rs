//! Recordings from their first unit to the stored, indexed clip, with real files, workers and databases. Every clip is decoded, and
//! the number burnt into each picture is read.
//!
//! This program is its own worker (`worker`) and its own victim (`live`), so it has its own `main`; otherwise it behaves as
//! other tests do and takes a part of a name as filter.

mod clips;
mod damage;
mod faults;
mod headers;
mod kill;
mod made;
mod moments;
mod node;
mod orders;
mod outage;
mod pictures;
mod rebuilt;
mod recovery;
mod resume;
mod rollovers;
mod sidecars;
#[path = "../../../storage/tests/support/mod.rs"]
mod support;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

type Story = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! stories {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name()))),*]
    };
}

const STORIES: &[(&str, Story)] = stories![
    clips::five_rollovers_of_vp8_show_every_picture_once,
    clips::five_rollovers_of_h264_show_every_picture_once,
    clips::a_request_cuts_at_the_next_keyframe,
    clips::a_clip_rolls_over_by_size,
    clips::sound_alone_is_recorded_and_cut,
    clips::a_deleted_clip_leaves_nothing_but_its_tombstone,
    clips::a_single_picture_is_a_clip,
    clips::a_dropped_streamer_continues_the_part,
    rollovers::random_rollovers_join_in_four_codecs,
    rollovers::the_chain_is_checked_without_journals,
    orders::ranges_across_rollovers_in_four_codecs,
    orders::the_open_part_is_waited_for,
    orders::pieces_of_two_broadcasts_become_one_clip,
    orders::what_cannot_be_had_is_refused_and_disturbs_nobody,
    orders::a_made_clip_without_its_file_is_made_again,
    orders::journals_stay_while_an_order_needs_them,
    recovery::a_torn_journal_becomes_a_clip,
    recovery::what_nobody_knows_is_adopted_or_removed,
    recovery::check_names_what_is_wrong,
    damage::journals_of_four_codecs_give_back_what_is_whole,
    damage::a_clip_of_a_damaged_journal_shows_what_is_whole_and_says_what_is_not,
    headers::journals_of_four_codecs_get_their_header_back,
    headers::parts_of_a_crash_without_their_headers_become_clips,
    headers::a_kill_while_a_header_is_restored_leaves_one_file,
    pictures::a_clip_gets_pictures_and_health_and_leaves_nothing_of_them,
    pictures::a_clip_that_is_silent_is_found_by_it,
    pictures::a_crash_between_looking_and_storing_loses_no_picture,
    outage::stores_away_across_a_restart_lose_nothing,
    outage::a_folder_that_refuses_new_files_for_a_while_loses_nothing,
    resume::a_killed_upload_goes_on_with_the_next_part,
    resume::a_file_that_changed_is_not_mixed_with_an_earlier_one,
    faults::a_bucket_that_is_not_there_is_named_and_tried_again_by_hand,
    faults::clips_through_a_faulty_store_are_stored_once,
    rebuilt::an_order_months_later_is_as_one_on_the_day,
    rebuilt::units_come_back_from_the_object_bit_by_bit,
    sidecars::edits_that_a_kill_overtakes_reach_the_store,
    sidecars::a_deleted_clip_is_not_brought_back_by_an_edit,
    sidecars::a_deletion_that_was_only_noted_is_carried_out,
    sidecars::what_an_older_oxbow_left_out_is_written_once,
    sidecars::a_dropped_database_is_rebuilt_from_the_bucket,
    kill::in_the_middle_of_a_group_of_pictures,
    kill::at_a_rollover,
    kill::during_an_export,
    kill::during_an_upload,
    kill::during_recovery,
    made::an_order_that_a_kill_overtakes_is_made_once,
    made::an_order_of_stored_clips_that_a_kill_overtakes_is_made_once,
    moments::whenever_the_process_dies_all_but_the_last_second_is_stored_once,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("worker") => return pipeline::worker_main(),
        Some("live") => return kill::live(&arguments[1..]),
        Some("moment") => return moments::victim(&arguments[1..]),
        Some("order") => return made::victim(&arguments[1..]),
        Some("edit") => return sidecars::edit(&arguments[1..]),
        Some("upload") => return resume::upload(&arguments[1..]),
        _ => {}
    }
    let filter = arguments.iter().find(|a| !a.starts_with('-')).cloned().unwrap_or_default();
    let wanted: Vec<_> = STORIES.iter().filter(|(name, _)| name.contains(&filter)).collect();
    if arguments.iter().any(|a| a == "--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut failed = Vec::new();
    println!("running {} stories", wanted.len());
    for (name, story) in &wanted {
        let started = std::time::Instant::now();
        let ended = runtime.block_on(async { tokio::spawn(story()).await });
        let word = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word} ({:.1} s)", started.elapsed().as_secs_f64());
        if ended.is_err() {
            failed.push(*name);
        }
    }
    println!("{} passed, {} failed: {failed:?}", wanted.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
