//! Keeps a loop alive: a failure is caught, counted and reported, its remains are settled and the loop starts anew; a loop that
//! fails again and again ends the plane with a cause that the process is told. It never dies silently.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::plane::PlaneState;
use crate::shard::{self, Gear, Lines};

/// So many failures within [`FAILURE_WINDOW`] are one too many: the fault is not in one stream.
const FAILURES: usize = 5;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// What the threads of one media plane have come to.
pub struct Outcome {
    state: watch::Sender<PlaneState>,
    running: AtomicUsize,
}

impl Outcome {
    pub fn of(shards: usize, state: watch::Sender<PlaneState>) -> Self {
        Outcome { state, running: AtomicUsize::new(shards) }
    }

    /// One failure is the plane's; its regular end is that of the last thread.
    fn note(&self, end: PlaneState) {
        let last = self.running.fetch_sub(1, Ordering::AcqRel) == 1;
        self.state.send_if_modified(|state| {
            let counts = *state == PlaneState::Running && (last || matches!(end, PlaneState::Failed(_)));
            if counts {
                *state = end;
            }
            counts
        });
    }
}

/// The whole life of a shard's thread.
pub fn run(lines: Lines, outcome: &Outcome) {
    let mut shard = (lines, Gear::default());
    let end = keep_alive(
        &mut shard,
        |(lines, gear)| shard::run(lines, gear),
        |(lines, gear), cause| {
            tracing::error!(cause, "the media loop failed; its sessions are closed and it starts anew");
            gear.forget();
            lines.write_off();
        },
    );
    if let PlaneState::Failed(cause) = &end {
        tracing::error!(cause, "the media plane gives up");
    }
    // The taps and the inbox close before the end is told, so that whoever waits for it finds everything closed.
    drop(shard);
    outcome.note(end);
}

/// Runs `run` until it ends by itself. After each failure `settle` is called with the cause.
fn keep_alive<C>(
    context: &mut C,
    mut run: impl FnMut(&mut C) -> io::Result<()>,
    mut settle: impl FnMut(&mut C, &str),
) -> PlaneState {
    let mut failures: Vec<Instant> = Vec::new();
    loop {
        // What a panic may have left half done is in the router, which is thrown away, and in the context, which `settle` resets.
        let cause = match catch_unwind(AssertUnwindSafe(|| run(context))) {
            Ok(Ok(())) => return PlaneState::Stopped,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_text(panic.as_ref()).to_owned(),
        };
        settle(context, &cause);
        failures.retain(|at| at.elapsed() < FAILURE_WINDOW);
        failures.push(Instant::now());
        if failures.len() >= FAILURES {
            return PlaneState::Failed(cause);
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_ends_with_its_last_thread_or_its_first_failure() {
        let failed = || PlaneState::Failed("why".into());
        for (ends, expected) in [
            (vec![PlaneState::Stopped], PlaneState::Running),
            (vec![PlaneState::Stopped, PlaneState::Stopped], PlaneState::Stopped),
            (vec![failed()], failed()),
            (vec![failed(), PlaneState::Stopped], failed()),
            (vec![PlaneState::Stopped, failed()], failed()),
        ] {
            let (sender, state) = watch::channel(PlaneState::Running);
            let outcome = Outcome::of(2, sender);
            ends.iter().for_each(|end| outcome.note(end.clone()));
            assert_eq!(*state.borrow(), expected, "{ends:?}");
        }
    }

    #[test]
    fn a_failure_is_settled_and_the_loop_starts_anew() {
        let mut story: Vec<String> = Vec::new();
        let end = keep_alive(
            &mut story,
            |story| match story.len() {
                0 => panic!("broken invariant {}", 7),
                1 => Err(io::Error::other("no socket")),
                _ => Ok(()),
            },
            |story, cause| story.push(cause.to_owned()),
        );
        assert_eq!(end, PlaneState::Stopped);
        assert_eq!(story, ["broken invariant 7", "no socket"]);
    }

    #[test]
    fn a_loop_that_keeps_failing_is_given_up_with_its_cause() {
        let mut settled = 0;
        let end = keep_alive(&mut settled, |_| panic!("always"), |settled, _| *settled += 1);
        assert_eq!(end, PlaneState::Failed("always".into()));
        assert_eq!(settled, FAILURES);
    }
}
