//! What is known of one project, and when it is due.

use domain::{NativeId, Timestamp};
use jiff::SignedDuration;

use super::pace::{self, Known, Why, pace};
use super::{CONFIRM, GAP, Plan, Reading, SETTLE, after};

/// A change that the platform was asked for so long after a webhook was told of by it.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// Projects that were never read come before everything else that nobody looks at.
const UNREAD: f64 = 1e9;
/// Beyond this it makes no difference how long nothing has happened, in seconds.
const LONG_AGO: f64 = 1e8;

/// What a webhook told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// That something happened.
    Touched,
    /// Runs, with all that there is to show of them.
    Runs,
    /// Runs of which it is to be read why they failed.
    Failed,
}

/// What the platform answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Something new.
    Changed,
    /// Nothing new.
    Unchanged,
    /// Something moved, and only the whole state tells all of it.
    Moved,
    /// Nothing, and why.
    Failed(String),
}

/// Why a project is asked when it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Why.
    pub why: Why,
    /// How often.
    pub every: Option<SignedDuration>,
    /// When it was last asked.
    pub asked_at: Option<Timestamp>,
    /// When its whole state was, where it is asked for news otherwise.
    pub whole_at: Option<Timestamp>,
    /// What came.
    pub answer: Option<Answer>,
    /// When it is due next; `None`: never.
    pub due_at: Option<Timestamp>,
    /// It is being asked now.
    pub reading: bool,
    /// Its last webhook.
    pub webhook_at: Option<Timestamp>,
    /// Its webhooks are relied upon: it is asked less often.
    pub hooked: bool,
    /// Its state comes with the listing of all projects.
    pub told: bool,
    /// The source is left alone until then.
    pub paused_until: Option<Timestamp>,
    /// How much longer than meant everything takes, since the limit allows no more.
    pub stretch: f64,
}

/// When, and in which circumstances, something is asked of a [`Track`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock<'a> {
    pub(super) plan: &'a Plan,
    /// Many projects are asked for news at once.
    pub(super) batched: bool,
    /// … also where nothing is known of them.
    pub(super) glances: bool,
    pub(super) now: Timestamp,
}

#[derive(Debug)]
pub(super) struct Track {
    known: Option<Known>,
    listed_at: Timestamp,
    active_at: Option<Timestamp>,
    /// The listing says that something happened since it was read.
    moved: bool,
    /// News say that only the whole state tells what happened.
    moved_on: bool,
    asked_at: Option<Timestamp>,
    /// When its whole state was last asked for.
    whole_at: Option<Timestamp>,
    pub(super) read_at: Option<Timestamp>,
    answer: Option<Answer>,
    failures: u32,
    /// When what webhooks told of is to be read.
    confirm_at: Option<Timestamp>,
    hook_at: Option<Timestamp>,
    /// When its webhooks last told of runs; a change that none told of takes that away.
    hooked_at: Option<Timestamp>,
    pub(super) looked_until: Option<Timestamp>,
    pub(super) told_at: Option<Timestamp>,
    /// From 0 to 1: what failed together does not come back together.
    jitter: f64,
}

impl Track {
    pub(super) fn new(id: &NativeId, now: Timestamp) -> Self {
        Self {
            jitter: jitter_of(id),
            known: None,
            listed_at: now,
            active_at: None,
            moved: false,
            moved_on: false,
            asked_at: None,
            whole_at: None,
            read_at: None,
            answer: None,
            failures: 0,
            confirm_at: None,
            hook_at: None,
            hooked_at: None,
            looked_until: None,
            told_at: None,
        }
    }

    /// One that a webhook told of before any listing.
    pub(super) fn unlisted(id: &NativeId, now: Timestamp) -> Self {
        Self { known: Some(Known::default()), ..Self::new(id, now) }
    }

    /// Whether it is asked at all.
    pub(super) const fn is_asked(&self) -> bool {
        self.known.is_some()
    }

    pub(super) const fn is_unread(&self) -> bool {
        self.is_asked() && self.asked_at.is_none()
    }

    /// Whether its whole state was never read.
    pub(super) const fn is_partly_known(&self) -> bool {
        self.is_asked() && self.whole_at.is_none()
    }

    /// Whether its colour was told, and nothing else since that is still to be read.
    pub(super) const fn is_seen(&self) -> bool {
        self.asked_at.is_some() && !self.moved_on
    }

    pub(super) const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether its state came with the last listing.
    pub(super) fn is_told(&self) -> bool {
        self.told_at.is_some() && self.told_at >= self.asked_at
    }

    pub(super) fn listed(&mut self, known: Option<Known>, active_at: Option<Timestamp>, now: Timestamp) {
        self.moved |= self.asked_at.is_some() && active_at > self.active_at && self.active_at.is_some();
        self.active_at = self.active_at.max(active_at);
        (self.known, self.listed_at) = (known, now);
    }

    /// `asked_at` is when the question was sent: what happened after that is not in the answer.
    pub(super) fn read(&mut self, known: Known, whole: bool, answer: Answer, asked_at: Timestamp) {
        let told_of = |at: Timestamp| asked_at.duration_since(at) <= TOLD_WITHIN;
        if answer == Answer::Changed && self.read_at.is_some() && !self.hook_at.is_some_and(told_of) {
            self.hooked_at = None;
        }
        if matches!(answer, Answer::Failed(_)) {
            self.failures = self.failures.saturating_add(1);
        } else {
            (self.failures, self.read_at) = (0, Some(asked_at));
        }
        if whole {
            (self.whole_at, self.moved_on) = (Some(asked_at), false);
        } else {
            self.moved_on |= answer == Answer::Moved;
        }
        if self.hook_at <= Some(asked_at) {
            self.confirm_at = None;
        }
        self.moved = false;
        (self.known, self.asked_at, self.answer) = (Some(known), Some(asked_at), Some(answer));
    }

    pub(super) fn woken(&mut self, now: Timestamp, hook: Hook, plan: &Plan) {
        if hook != Hook::Touched {
            self.hooked_at = Some(now);
        }
        // Where its runs are told of, what touches it is told as well.
        let can_wait = hook != Hook::Failed && self.is_hooked(now) && self.asked_at.is_some();
        let settle = if can_wait { CONFIRM } else { SETTLE };
        let at = after(now, settle.min(plan.every));
        // The first one decides: one that is woken all the time is read all the same.
        self.confirm_at = Some(self.confirm_at.map_or(at, |first| first.min(at)));
        self.hook_at = Some(now);
    }

    fn is_looked_at(&self, now: Timestamp) -> bool {
        self.looked_until.is_some_and(|until| now < until)
    }

    fn is_hooked(&self, now: Timestamp) -> bool {
        let recent = |at: Timestamp| now.duration_since(at) <= pace::WEBHOOKS_ALIVE;
        self.hooked_at.is_some_and(recent)
    }

    /// How often it is to be asked, and why.
    pub(super) fn pace(&self, clock: Clock<'_>) -> Option<(SignedDuration, Why)> {
        let Clock { plan, now, .. } = clock;
        let known = self.known.as_ref()?;
        if self.asked_at.is_none() {
            return Some((SignedDuration::ZERO, Why::New));
        }
        if self.failures > 0 && !self.moved {
            return Some((pace::failed(plan, self.failures, self.jitter), Why::Failed));
        }
        let usual = pace(known, self.is_hooked(now), plan, now);
        let moved = self.moved.then_some((GAP.min(plan.every), Why::Moved));
        let looked = self.is_looked_at(now).then(|| (pace::looked_at(plan), Why::LookedAt));
        moved.into_iter().chain(looked).chain([usual]).min_by_key(|(every, _)| *every)
    }

    /// When it is due, whoever wants it.
    pub(super) fn due_at(&self, clock: Clock<'_>) -> Option<Timestamp> {
        let (every, _) = self.pace(clock)?;
        let at = self.asked_at.map_or(self.listed_at, |asked| after(asked, every));
        Some(self.woken_due(clock.plan).map_or(at, |woken| at.min(woken)))
    }

    fn woken_due(&self, plan: &Plan) -> Option<Timestamp> {
        self.known.as_ref()?;
        let settled = self.confirm_at?;
        Some(self.asked_at.map_or(settled, |asked| settled.max(after(asked, GAP.min(plan.every)))))
    }

    /// When it wants to be read in this way, and how late that is in proportion to how often it should be: 1 is due.
    /// `None`: not in this way.
    pub(super) fn wants(&self, reading: Reading, clock: Clock<'_>) -> Option<(Timestamp, f64)> {
        let Clock { plan, batched, now, .. } = clock;
        let (every, _) = self.pace(clock)?;
        match reading {
            Reading::Urgent => {
                let looked = self.is_looked_at(now) && !self.is_told() && self.failures == 0;
                let looked = looked.then(|| {
                    self.asked_at.map_or(self.listed_at, |asked| after(asked, pace::looked_at(plan)))
                });
                // Where one question tells of all that webhooks told of, it does.
                let woken =
                    self.woken_due(plan).filter(|_| !batched || self.is_told() || self.asked_at.is_none());
                let at = woken.into_iter().chain(looked).min()?;
                Some((at, now.duration_since(at).as_secs_f64()))
            }
            _ if self.is_told() => None,
            Reading::News if batched && self.asked_at.is_some() && self.woken_due(plan).is_some() => {
                let at = self.woken_due(plan)?;
                Some((at, 2.0 * UNREAD + now.duration_since(at).as_secs_f64()))
            }
            Reading::News if self.asked_at.is_none() && !clock.glances => None,
            // A glance at all of them comes before everything of each.
            Reading::Whole if clock.glances && self.asked_at.is_none() => None,
            // What moved comes before what was only never looked at closely.
            Reading::Whole if batched && self.moved_on => {
                let at = self.whole_at.map_or(self.listed_at, |at| after(at, GAP.min(plan.every)));
                Some((at, 2.0 * UNREAD + now.duration_since(at).as_secs_f64()))
            }
            Reading::Whole if batched => Some(match self.whole_at {
                // Where something happened last is looked at first.
                None => (self.listed_at, UNREAD - self.quiet_for(now).as_secs_f64().min(LONG_AGO)),
                Some(at) => {
                    let every = pace::whole(every, plan);
                    (after(at, every), lateness(at, every, now))
                }
            }),
            Reading::News | Reading::Whole => Some(match self.asked_at {
                None => (self.listed_at, UNREAD + now.duration_since(self.listed_at).as_secs_f64()),
                Some(at) => (after(at, every), lateness(at, every, now)),
            }),
        }
    }

    /// How long nothing has happened to it.
    fn quiet_for(&self, now: Timestamp) -> SignedDuration {
        let moved_at = self.known.as_ref().and_then(|known| known.moved_at);
        moved_at.map_or(SignedDuration::MAX, |at| now.duration_since(at).max(SignedDuration::ZERO))
    }

    pub(super) fn explain(&self, clock: Clock<'_>, reading: bool) -> Explanation {
        let woken = self.woken_due(clock.plan);
        let (every, why) = self.pace(clock).map_or((None, Why::Never), |(every, why)| (Some(every), why));
        let due_at = self.due_at(clock);
        let by_webhook = woken.is_some() && woken == due_at;
        Explanation {
            why: if by_webhook { Why::Woken } else { why },
            every: every.filter(|_| why != Why::New && !by_webhook),
            asked_at: self.asked_at,
            whole_at: self.whole_at.filter(|_| clock.batched),
            answer: self.answer.clone(),
            due_at,
            reading,
            webhook_at: self.hook_at,
            hooked: self.is_hooked(clock.now),
            told: self.is_told(),
            paused_until: None,
            stretch: 1.0,
        }
    }
}

/// The same for one id at all times, so that nothing depends on chance.
fn jitter_of(id: &NativeId) -> f64 {
    let sum = id
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    f64::from(sum) / f64::from(u32::MAX)
}

fn lateness(asked: Timestamp, every: SignedDuration, now: Timestamp) -> f64 {
    now.duration_since(asked).as_secs_f64() / every.as_secs_f64().max(0.001)
}
