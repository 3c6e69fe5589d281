//! Keeps a loop alive: a failure is caught, counted and reported, its remains are settled and the loop starts anew; a loop that
//! fails again and again ends the plane with a cause that the process is told. It never dies silently.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::plane::PlaneState;
use crate::shard::{self, Gear, Lines};

/// So many failures within [`FAILURE_WINDOW`] are one too many: the fault is not in one stream.
const FAILURES: usize = 5;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// The whole life of a shard's thread.
pub fn run(lines: Lines, state: &watch::Sender<PlaneState>) {
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
    state.send_replace(end);
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
