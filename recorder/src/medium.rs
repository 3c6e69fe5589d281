//! Waits for the medium, so that the journal thread does not: creating a file durably and syncing one take milliseconds each, and when many
//! recordings roll over at once nobody should wait for the sum of them. Side by side they share the file system's own transactions.
//! What is to be durable before what is decided by whoever asks (docs/journal.md); files are not known here.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads that wait. Each waits for one file.
const THREADS: usize = 8;
/// Jobs that may wait for a thread: two for each of many recordings. More: they are asked for again.
const JOBS: usize = 1024;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The journal thread's end. The threads end with it.
pub(crate) struct Medium {
    jobs: SyncSender<Job>,
    done: Arc<AtomicU64>,
}

/// What will come of a job.
#[derive(Debug)]
pub(crate) struct Outcome<T>(Receiver<T>);

/// A job's state.
pub(crate) enum Answer<T> {
    NotYet,
    Done(T),
    /// Its thread is gone.
    Never,
}

impl Medium {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start() -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (medium, jobs) = Self::idle();
        let jobs = Arc::new(Mutex::new(jobs));
        let start = |number: usize| {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name(format!("journal-medium-{number}")).spawn(move || work(&jobs))
        };
        Ok((medium, (0..THREADS).map(start).collect::<io::Result<_>>()?))
    }

    /// Without threads: the jobs come out of the receiver.
    pub(crate) fn idle() -> (Self, Receiver<Job>) {
        let (jobs, receiver) = sync_channel(JOBS);
        (Self { jobs, done: Arc::default() }, receiver)
    }

    /// `None` when too many wait; ask again later.
    pub(crate) fn hand<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<Outcome<T>> {
        let (answer, outcome) = sync_channel(1);
        let done = Arc::clone(&self.done);
        let job = Box::new(move || {
            let _ = answer.send(job()); // whoever asked may have given up
            done.fetch_add(1, Relaxed);
        });
        self.jobs.try_send(job).ok().map(|()| Outcome(outcome))
    }

    /// Jobs that were done so far: as long as it stays the same, no outcome has changed.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }
}

impl<T> Outcome<T> {
    pub(crate) fn look(&self) -> Answer<T> {
        match self.0.try_recv() {
            Ok(answer) => Answer::Done(answer),
            Err(TryRecvError::Empty) => Answer::NotYet,
            Err(TryRecvError::Disconnected) => Answer::Never,
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_side_by_side_and_are_counted() {
        let (medium, threads) = Medium::start().expect("threads");
        let (first, second) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(std::sync::Barrier::new(2)));
        let meet = |barrier: &Arc<std::sync::Barrier>| {
            let barrier = Arc::clone(barrier);
            medium.hand(move || barrier.wait().is_leader()).expect("room")
        };
        // each waits for the other: one thread would never end this
        let outcomes = [meet(&first), meet(&second), meet(&first), meet(&second)];
        let leaders = outcomes.iter().map(|outcome| outcome.0.recv().expect("an answer")).filter(|leads| *leads);
        assert_eq!(leaders.count(), 2);
        let done = Arc::clone(&medium.done);
        drop(medium);
        threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
        assert_eq!(done.load(Relaxed), 4);
    }

    #[test]
    fn more_than_may_wait_is_refused_and_what_never_runs_says_so() {
        let (medium, jobs) = Medium::idle();
        let waiting: Vec<_> = (0..JOBS).map(|n| medium.hand(move || n).expect("room")).collect();
        assert!(medium.hand(|| 0).is_none());
        jobs.recv().expect("the first")();
        assert!(matches!(waiting[0].look(), Answer::Done(0)));
        assert!(matches!(waiting[1].look(), Answer::NotYet));
        drop(jobs);
        assert!(matches!(waiting[1].look(), Answer::Never));
        assert_eq!(medium.done(), 1);
    }
}
