//! Waiting jobs, by lane. Bounded: a full lane refuses.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Semaphore, oneshot};

use crate::job::{ExportError, Lane};
use crate::protocol::{Done, Request};

/// Jobs that may wait in one lane.
pub(super) const WAITING: usize = 256;

pub(super) struct Waiting {
    pub job: Request,
    pub reply: oneshot::Sender<Result<Done, ExportError>>,
}

pub(super) struct Queue {
    lanes: Mutex<[VecDeque<Waiting>; Lane::ALL.len()]>,
    /// One permit per waiting job; closed when the workers stop.
    ready: Semaphore,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { lanes: Mutex::default(), ready: Semaphore::new(0) }
    }

    pub(super) fn push(&self, lane: Lane, waiting: Waiting) -> Result<(), ExportError> {
        let mut lanes = self.lock();
        if self.ready.is_closed() {
            return Err(ExportError::Stopped);
        }
        let lane = &mut lanes[lane as usize];
        if lane.len() >= WAITING {
            return Err(ExportError::Busy);
        }
        lane.push_back(waiting);
        self.ready.add_permits(1);
        Ok(())
    }

    /// The next job whose caller still waits; `None` when stopped.
    pub(super) async fn pop(&self) -> Option<Waiting> {
        loop {
            self.ready.acquire().await.ok()?.forget();
            let next = self.lock().iter_mut().find_map(VecDeque::pop_front);
            match next {
                Some(waiting) if waiting.reply.is_closed() => {}
                next => return next,
            }
        }
    }

    /// Nobody gets in any more; those who wait are told.
    pub(super) fn close(&self) {
        let mut lanes = self.lock();
        self.ready.close();
        for waiting in lanes.iter_mut().flat_map(|lane| lane.drain(..)) {
            let _ = waiting.reply.send(Err(ExportError::Stopped));
        }
    }

    fn lock(&self) -> MutexGuard<'_, [VecDeque<Waiting>; Lane::ALL.len()]> {
        self.lanes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Border, ExportJob, Format, Precision};

    fn waiting(stem: &str) -> (Waiting, oneshot::Receiver<Result<Done, ExportError>>) {
        let job = ExportJob {
            pieces: Vec::new(),
            border: Border::Rollover,
            precision: Precision::Fast,
            format: Format::Original,
            directory: "/nowhere".into(),
            stem: stem.into(),
            poster: false,
            units: false,
        };
        let (reply, answer) = oneshot::channel();
        (Waiting { job: Request::Export(job), reply }, answer)
    }

    #[tokio::test]
    async fn earlier_lanes_go_first_and_a_lane_keeps_its_order() {
        let queue = Queue::new();
        let mut answers = Vec::new();
        for (lane, stem) in
            [(Lane::Rest, "d"), (Lane::Rollover, "b"), (Lane::Rollover, "c"), (Lane::ClipNow, "a"), (Lane::Rest, "e")]
        {
            let (job, answer) = waiting(stem);
            queue.push(lane, job).unwrap();
            answers.push(answer);
        }
        let mut order = String::new();
        for _ in 0..5 {
            order += queue.pop().await.unwrap().job.stem();
        }
        assert_eq!(order, "abcde");
    }

    #[tokio::test]
    async fn a_full_lane_refuses_and_leaves_the_others_open() {
        let queue = Queue::new();
        let mut answers = Vec::new();
        for _ in 0..WAITING {
            let (job, answer) = waiting("x");
            queue.push(Lane::Poster, job).unwrap();
            answers.push(answer);
        }
        assert_eq!(queue.push(Lane::Poster, waiting("y").0), Err(ExportError::Busy));
        assert_eq!(queue.push(Lane::ClipNow, waiting("z").0), Ok(()));
    }

    #[tokio::test]
    async fn a_caller_that_left_is_skipped_and_a_stop_is_told() {
        let queue = Queue::new();
        let (gone, answer) = waiting("gone");
        drop(answer);
        queue.push(Lane::ClipNow, gone).unwrap();
        let (here, _answer) = waiting("here");
        queue.push(Lane::Rest, here).unwrap();
        assert_eq!(queue.pop().await.unwrap().job.stem(), "here");

        let (late, answer) = waiting("late");
        queue.push(Lane::Rest, late).unwrap();
        queue.close();
        assert_eq!(answer.await.unwrap().err(), Some(ExportError::Stopped));
        assert!(queue.pop().await.is_none());
        assert_eq!(queue.push(Lane::Rest, waiting("x").0), Err(ExportError::Stopped));
    }
}
