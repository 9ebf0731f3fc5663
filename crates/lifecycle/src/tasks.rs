//! Every task of a process, from its start to its orderly end.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::notify::Notifier;
use crate::sys::{Signal, Signals};

/// Where it is heard from what is asked of the process.
trait Asked {
    /// The next request.
    async fn next(&mut self) -> Signal;

    /// The next request to stop.
    async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}

impl Asked for Signals {
    async fn next(&mut self) -> Signal {
        Self::next(self).await
    }
}

/// Spawns tasks that the process waits for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    /// Of the tasks of this part alone; of the whole, the same as `tracker`.
    own: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    crashed: mpsc::UnboundedSender<&'static str>,
}

impl Tasks {
    /// Runs a task for as long as the process does. It ends when [`Tasks::stopping`] is; if it ends before, the process
    /// stops with a failure.
    pub fn run(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (soft, hard, crashed) = (self.soft.clone(), self.hard.clone(), self.crashed.clone());
        // A panic unwinds through here and drops the guard, which tells.
        let guard = Guard { name, soft, crashed };
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        tokio::spawn(self.track(async move {
            let _guard = guard;
            tokio::select! { () = task => {} () = hard.cancelled() => {} }
        }));
    }

    /// Runs a task that ends by itself, within the life of the process.
    pub fn once(&self, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        tokio::spawn(self.track(async move {
            tokio::select! { () = task => {} () = hard.cancelled() => {} }
        }));
    }

    fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tracker.track_future(self.own.track_future(task))
    }

    /// A part of the process that may end before it does: [`Tasks::request_stop`] of the part stops the part alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { soft: self.soft.child_token(), own: TaskTracker::new(), ..self.clone() }
    }

    /// Asks a part to stop and waits until all of its tasks have ended.
    pub async fn end(&self) {
        self.request_stop();
        self.own.close();
        self.own.wait().await;
    }

    /// Asks the process to stop, as a signal does; of a part, that part.
    pub fn request_stop(&self) {
        self.soft.cancel();
    }

    /// Done once the process is asked to stop: finish what is in flight, take nothing new.
    pub async fn stopping(&self) {
        self.soft.cancelled().await;
    }

    /// The same as a token, for what takes one.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// The tracker, for what spawns by itself.
    #[must_use]
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }
}

struct Guard {
    name: &'static str,
    soft: CancellationToken,
    crashed: mpsc::UnboundedSender<&'static str>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.soft.is_cancelled() {
            // The receiver lives as long as the process.
            let _ = self.crashed.send(self.name);
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to and all tasks finished.
    Clean,
    /// It was asked to, but some task did not finish in time or a second signal came.
    Forced,
    /// A task ended that should not have.
    Crashed(&'static str),
}

impl Stopped {
    /// The process's exit code: 0 for a clean stop, else 1.
    #[must_use]
    pub fn exit_code(self) -> std::process::ExitCode {
        match self {
            Self::Clean => std::process::ExitCode::SUCCESS,
            Self::Forced | Self::Crashed(_) => std::process::ExitCode::FAILURE,
        }
    }
}

/// The life of a process.
#[derive(Debug)]
pub struct Lifecycle {
    tasks: Tasks,
    crashed: mpsc::UnboundedReceiver<&'static str>,
    /// Once they are heard.
    signals: Option<Signals>,
    /// The configuration is to be read again as soon as that can be done.
    reload_due: bool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// How long tasks may take to finish what is in flight.
    pub const DRAIN: Duration = Duration::from_secs(10);

    /// Begins.
    #[must_use]
    pub fn new() -> Self {
        let (crashed_to, crashed) = mpsc::unbounded_channel();
        let soft = CancellationToken::new();
        let (tracker, hard) = (TaskTracker::new(), CancellationToken::new());
        let tasks = Tasks { own: tracker.clone(), tracker, soft, hard, crashed: crashed_to };
        Self { tasks, crashed, signals: None, reload_due: false }
    }

    /// Where tasks are spawned.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Does what comes before [`Self::serve`], and hears signals from now on: SIGTERM, SIGINT or Ctrl-C end the start, which
    /// is `None` then; SIGHUP is remembered until the process serves. Without this they would end the process in the middle
    /// of whatever it does, or, where it is the first of its container, not at all.
    pub async fn start<T>(&mut self, starting: impl Future<Output = T>) -> Option<T> {
        match self.signals.take().map_or_else(Signals::new, Ok) {
            Ok(mut signals) => {
                let started = self.unless_stopped(&mut signals, starting).await;
                self.signals = Some(signals);
                started
            }
            // `serve` will tell.
            Err(_) => Some(starting.await),
        }
    }

    async fn unless_stopped<T>(
        &mut self,
        signals: &mut impl Asked,
        starting: impl Future<Output = T>,
    ) -> Option<T> {
        let mut starting = pin!(starting);
        loop {
            tokio::select! {
                started = &mut starting => return Some(started),
                signal = signals.next() => match signal {
                    Signal::Stop => return None,
                    Signal::Reload => self.reload_due = true,
                },
            }
        }
    }

    /// Everything is set up: tells the service manager so, then waits for SIGTERM, SIGINT or Ctrl-C, or a crash, and ends all
    /// tasks within [`Self::DRAIN`]. A second signal ends them at once. At SIGHUP nothing is read again.
    pub async fn until_stopped(self) -> Stopped {
        self.serve(async || Err("this process reads it at its start alone")).await
    }

    /// The same, with `reload` to read the configuration again at every SIGHUP. When that fails its error is logged, and the
    /// process goes on as it was.
    pub async fn serve<E: Display>(mut self, reload: impl AsyncFnMut() -> Result<(), E>) -> Stopped {
        match self.signals.take().map_or_else(Signals::new, Ok) {
            Ok(signals) => self.until(signals, Notifier::from_env(), reload).await,
            Err(error) => {
                tracing::error!(%error, "cannot listen for signals");
                Stopped::Crashed("signals")
            }
        }
    }

    async fn until<E: Display>(
        mut self,
        mut signals: impl Asked,
        manager: Notifier,
        mut reload: impl AsyncFnMut() -> Result<(), E>,
    ) -> Stopped {
        let manager = Arc::new(manager);
        if let Some(every) = manager.heartbeat() {
            let (alive, stop) = (Arc::clone(&manager), self.tasks.stop_token());
            self.tasks.run("watchdog", async move {
                stop.run_until_cancelled(keep_alive(&alive, every)).await;
            });
        }
        manager.ready();
        let crashed = loop {
            if !std::mem::take(&mut self.reload_due) {
                tokio::select! {
                    signal = signals.next() => if signal == Signal::Stop { break None },
                    name = self.crashed.recv() => break name,
                    () = self.tasks.soft.cancelled() => break None,
                }
            }
            manager.reloading();
            let mut reloading = pin!(reload());
            let reloaded = loop {
                tokio::select! {
                    reloaded = &mut reloading => break Ok(reloaded),
                    signal = signals.next() => match signal {
                        Signal::Stop => break Err(None),
                        // What is being read now may be older than what this one is about.
                        Signal::Reload => self.reload_due = true,
                    },
                    name = self.crashed.recv() => break Err(name),
                }
            };
            let reloaded = match reloaded {
                Ok(reloaded) => reloaded,
                Err(crashed) => break crashed,
            };
            match reloaded {
                Ok(()) => tracing::info!("the configuration was read again"),
                Err(error) => {
                    tracing::error!(%error, "the new configuration is refused; the old one goes on")
                }
            }
            manager.ready();
        };
        if let Some(task) = crashed {
            tracing::error!(task, "a task ended that should not have; stopping");
        }
        manager.stopping();
        let drained = self.drain(signals.stop()).await;
        match (crashed, drained) {
            (Some(task), _) => Stopped::Crashed(task),
            (None, true) => Stopped::Clean,
            (None, false) => Stopped::Forced,
        }
    }

    /// Ends all tasks; true when all finished by themselves.
    async fn drain(self, second: impl Future<Output = ()>) -> bool {
        let tasks = self.tasks;
        tasks.soft.cancel();
        tasks.tracker.close();
        let finished = tokio::select! {
            () = tasks.tracker.wait() => true,
            () = tokio::time::sleep(Self::DRAIN) => false,
            () = second => false,
        };
        if !finished {
            tracing::warn!("some tasks did not finish in time");
            tasks.hard.cancel();
            tasks.tracker.wait().await;
        }
        finished
    }

    /// Ends all tasks without a signal: for embedding and tests.
    pub async fn stop(self) -> Stopped {
        if self.drain(std::future::pending()).await { Stopped::Clean } else { Stopped::Forced }
    }
}

/// Tells the service manager for as long as the runtime gets around to it.
async fn keep_alive(manager: &Notifier, every: Duration) {
    let mut beat = tokio::time::interval(every);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        manager.alive();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_a_crash() {
        let life = Lifecycle::new();
        life.tasks().run("fragile", async {});
        assert_eq!(life.until_stopped().await, Stopped::Crashed("fragile"));
    }

    #[tokio::test]
    async fn tasks_finish_what_is_in_flight() {
        let life = Lifecycle::new();
        let tasks = life.tasks();
        let (done, was_done) = tokio::sync::oneshot::channel();
        tasks.clone().run("worker", async move {
            tasks.stopping().await;
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        });
        assert_eq!(life.stop().await, Stopped::Clean);
        was_done.await.unwrap();
    }

    #[tokio::test]
    async fn a_part_ends_alone_and_with_the_whole() {
        let life = Lifecycle::new();
        let (first, second) = (life.tasks().part(), life.tasks().part());
        for part in [&first, &second] {
            let tasks = part.clone();
            part.run("part", async move { tasks.stopping().await });
        }
        first.end().await;
        assert!(!second.stop_token().is_cancelled() && !life.tasks().stop_token().is_cancelled());
        assert_eq!(life.stop().await, Stopped::Clean);
        assert!(second.stop_token().is_cancelled());
    }

    /// Signals that a test sends; says when one was taken.
    struct Sent(mpsc::UnboundedReceiver<Signal>, mpsc::UnboundedSender<Signal>);

    impl Asked for Sent {
        async fn next(&mut self) -> Signal {
            let signal = self.0.recv().await.unwrap();
            self.1.send(signal).unwrap();
            signal
        }
    }

    fn signals() -> (mpsc::UnboundedSender<Signal>, Sent, mpsc::UnboundedReceiver<Signal>) {
        let ((to, from), (taken, was_taken)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (to, Sent(from, taken), was_taken)
    }

    #[tokio::test]
    async fn a_reload_that_is_asked_for_during_another_follows_it() {
        let (to, signals, mut taken) = signals();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (finish, mut finished) = mpsc::unbounded_channel::<()>();
        let reload = async || -> Result<(), &str> {
            begun.send(()).unwrap();
            finished.recv().await.unwrap();
            Ok(())
        };
        let ask = async {
            to.send(Signal::Reload).unwrap();
            begins.recv().await.unwrap();
            taken.recv().await.unwrap();
            // Twice: what is read after both is read once.
            for _ in 0..2 {
                to.send(Signal::Reload).unwrap();
                taken.recv().await.unwrap();
            }
            finish.send(()).unwrap();
            begins.recv().await.unwrap();
            to.send(Signal::Stop).unwrap();
        };
        let (stopped, ()) = tokio::join!(Lifecycle::new().until(signals, Notifier::from_env(), reload), ask);
        assert_eq!(stopped, Stopped::Clean);
        assert!(begins.try_recv().is_err(), "and no third time");
    }

    #[tokio::test]
    async fn a_start_hears_signals() {
        let (to, mut signals, mut taken) = signals();
        let mut life = Lifecycle::new();
        let (go, mut gate) = mpsc::unbounded_channel::<()>();
        let ask = async {
            to.send(Signal::Reload).unwrap();
            taken.recv().await.unwrap();
            go.send(()).unwrap();
        };
        let (started, ()) = tokio::join!(life.unless_stopped(&mut signals, gate.recv()), ask);
        assert_eq!(started, Some(Some(())), "a reload does not end it");
        to.send(Signal::Stop).unwrap();
        assert_eq!(life.unless_stopped(&mut signals, std::future::pending::<()>()).await, None);
        // What was asked for meanwhile is done first.
        let (reloaded, mut reloads) = mpsc::unbounded_channel();
        let reload = async || reloaded.send(()).map_err(|_| "nobody counts");
        let stop = async {
            reloads.recv().await.unwrap();
            to.send(Signal::Stop).unwrap();
        };
        let (stopped, ()) = tokio::join!(life.until(signals, Notifier::from_env(), reload), stop);
        assert_eq!(stopped, Stopped::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_is_ended() {
        let life = Lifecycle::new();
        life.tasks().run("deaf", std::future::pending());
        assert_eq!(life.stop().await, Stopped::Forced);
    }
}
