//! The thread that the engine lives on. It waits for the disk; sessions wait for it without holding up connections, and
//! their questions wait in a queue of bounded length, which is answered from its front. Who finds the queue full waits for
//! room; two who wait for room may come in either's order, and each session asks one question at a time. On a runtime of one
//! thread, as simulations have it, everything waits for the disk, time included: the engine then works where it is asked.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot, watch};

/// Who has the engine.
pub(crate) struct EngineThread<E> {
    place: Place<E>,
    ended: watch::Receiver<bool>,
}

enum Place<E> {
    Thread(mpsc::Sender<Job<E>>),
    Here(Mutex<E>, watch::Sender<bool>),
}

type Job<E> = Box<dyn FnOnce(&mut E) + Send>;

impl<E: Send + 'static> EngineThread<E> {
    /// Takes the engine to a thread of its own, where it stays until nobody can ask any more.
    pub(crate) fn start(engine: E) -> io::Result<Self> {
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::CurrentThread) => {
                let (ended_in, ended) = watch::channel(false);
                let place = Place::Here(Mutex::new(engine), ended_in);
                Ok(Self { place, ended })
            }
            _ => Self::on_a_thread(engine),
        }
    }

    fn on_a_thread(mut engine: E) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job<E>>(QUEUE);
        let (ended_in, ended) = watch::channel(false);
        let work = move || {
            while let Some(job) = queue.blocking_recv() {
                carry_out(job, &mut engine);
            }
            drop(engine);
            ended_in.send_replace(true);
        };
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(work)?;
        let place = Place::Thread(jobs);
        Ok(Self { place, ended })
    }

    /// Lets `act` use the engine, also if the asker does not wait for the answer; none if it panicked.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut E) -> T + Send + 'static,
    ) -> Option<T> {
        let (job, answer) = job(act);
        match &self.place {
            Place::Thread(jobs) => jobs.send(job).await.ok()?,
            Place::Here(engine, _) => carry_out_here(job, engine),
        }
        answer.await.ok()
    }

    /// The same, for a thread that may wait.
    pub(crate) fn ask_and_block<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut E) -> T + Send + 'static,
    ) -> Option<T> {
        let (job, answer) = job(act);
        match &self.place {
            Place::Thread(jobs) => jobs.blocking_send(job).ok()?,
            Place::Here(engine, _) => carry_out_here(job, engine),
        }
        answer.blocking_recv().ok()
    }

    /// Done when the engine is gone, or after `patience`.
    pub(crate) fn ended(&self, patience: Duration) -> impl Future<Output = ()> + use<E> {
        let mut ended = self.ended.clone();
        async move {
            let _ = tokio::time::timeout(patience, ended.wait_for(|ended| *ended)).await;
        }
    }
}

impl<E> Drop for EngineThread<E> {
    fn drop(&mut self) {
        // A thread says so itself, when it has dropped the engine; here that is the next thing to happen.
        if let Place::Here(_, ended) = &self.place {
            ended.send_replace(true);
        }
    }
}

fn carry_out_here<E>(job: Job<E>, engine: &Mutex<E>) {
    carry_out(job, &mut engine.lock().unwrap_or_else(PoisonError::into_inner));
}

fn carry_out<E>(job: Job<E>, engine: &mut E) {
    // The store is as it was after its last whole change; who asked is told that there is no answer.
    if catch_unwind(AssertUnwindSafe(|| job(engine))).is_err() {
        tracing::error!("a request could not be carried out: the engine panicked");
    }
}

fn job<E, T: Send + 'static>(
    act: impl FnOnce(&mut E) -> T + Send + 'static,
) -> (Job<E>, oneshot::Receiver<T>) {
    let (answer_in, answer) = oneshot::channel();
    let job = move |engine: &mut E| {
        // Who does not wait any more needs no answer.
        let _ = answer_in.send(act(engine));
    };
    (Box::new(job), answer)
}

/// Questions that wait; who asks more waits to ask. Each session asks one at a time.
const QUEUE: usize = 64;

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::mpsc::channel;
    use std::task::Poll;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn while_the_engine_waits_for_the_disk_everything_else_goes_on_and_answers_come_in_order() {
        let keeper = EngineThread::start(Vec::new()).unwrap();
        let (disk, stalled) = channel::<()>();
        let mut stall = pin!(keeper.ask(move |_: &mut Vec<usize>| {
            let _ = stalled.recv_timeout(Duration::from_secs(20));
        }));
        assert!(
            asked(stall.as_mut()).await.is_none(),
            "the asker waited for the disk itself"
        );
        // More than the queue holds. One task asks all of them, and so decides the order.
        let mut questions: Vec<_> = (0..3 * QUEUE)
            .map(|number| Box::pin(keeper.ask(move |seen| seen.push(number))))
            .collect();
        for question in &mut questions {
            assert!(asked(question.as_mut()).await.is_none());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for question in &mut questions {
            assert!(asked(question.as_mut()).await.is_none(), "the disk stands still");
        }
        drop(disk);
        assert_eq!(stall.await, Some(()));
        for question in questions {
            assert_eq!(question.await, Some(()));
        }
        let seen = keeper.ask(|seen| seen.clone()).await.unwrap();
        assert_eq!(seen, (0..3 * QUEUE).collect::<Vec<_>>());
    }

    /// What a question comes to that is asked now and not waited for.
    async fn asked<F: Future>(question: Pin<&mut F>) -> Option<F::Output> {
        // With a new budget, or the runtime would make the task wait where only the queue should.
        tokio::task::yield_now().await;
        let mut question = Some(question);
        std::future::poll_fn(|task| {
            let question = question.take().expect("polled once");
            Poll::Ready(match question.poll(task) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn a_panic_is_the_askers_own_and_the_thread_ends_with_its_handle() {
        // Where it is asked; then on a thread.
        for keeper in [
            EngineThread::start(7).unwrap(),
            EngineThread::on_a_thread(7).unwrap(),
        ] {
            survives_a_panic(keeper).await;
        }
    }

    async fn survives_a_panic(keeper: EngineThread<usize>) {
        assert_eq!(
            keeper.ask(|_| panic!("a fault that a test plants")).await,
            None::<()>
        );
        assert_eq!(keeper.ask(|number| *number).await, Some(7));
        let ended = keeper.ended(Duration::from_secs(20));
        let flag = keeper.ended.clone();
        drop(keeper);
        ended.await;
        assert!(*flag.borrow());
    }
}
