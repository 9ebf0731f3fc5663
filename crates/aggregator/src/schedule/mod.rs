//! Decides what to ask a source next, and when. Pure: no I/O and no clock, the caller says what time it is, so that a
//! simulated day takes a second and the same story always ends the same way.
//!
//! | room | keeps |
//! | --- | --- |
//! | `pace` | how often a project is to be asked, by what is known of it |
//! | `bucket` | what may be spent now: an even rate within the platform's limit, with a reserve for people who look |
//! | `circuit` | when a source that does not answer is tried again |
//! | `cost` | what a question costs, learned from what it did cost |
//! | `track` | what is known of one project, and what [`Scheduler::explain`] tells of it |
//! | `figures` | what it comes to: [`Figures`], [`Standing`], and how much longer than meant everything takes |
//!
//! One [`Scheduler`] a source. Its caller asks [`Scheduler::next`], does the [`Work`], says with [`Scheduler::read`],
//! [`Scheduler::listed`] and the like what came of it, ends it with [`Scheduler::done`] or [`Scheduler::failed`], and asks again. Several pieces of work may be
//! under way at once.
//!
//! What is due is done in this order: projects that somebody looks at or that a webhook told of, the next page of a
//! listing, then whatever is latest in proportion to how often it should be asked. Where the platform answers many projects
//! at once ([`connector::Batching`]) they are asked for news so often, and for their whole state now and then. Where the limit does not allow all
//! of it, everything is asked less often in proportion, and nothing starves.

mod bucket;
mod circuit;
mod cost;
mod figures;
mod pace;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connector::Batching;
use connector::http::Budget;
use domain::{NativeId, Timestamp};
use jiff::SignedDuration;

pub use bucket::{EVENLY_WITHIN, RESERVE, most_within};
pub use circuit::MAX_PAUSE;
pub use figures::{Figures, Standing};
pub use pace::{Known, Why};
pub use track::{Answer, Explanation, Hook};

use bucket::{Bucket, Slot};
use circuit::{Circuit, Kind};
use cost::{Costs, PAGE, Price};
use track::Track;

/// From a webhook to the reading: what belongs together (a push and the runs it starts) comes within this time, and the
/// platform's lists have it by then.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(1);
/// The same where the webhook told all that there is to show: it is on the board, and the reading only confirms it. More of
/// them come within this time, and one question is about all.
pub const CONFIRM: SignedDuration = SignedDuration::from_secs(10);
/// Between two readings of one project, however much it is woken.
pub const GAP: SignedDuration = SignedDuration::from_secs(10);
/// Somebody who opened a page counts as looking for this long; an open page asks again every minute.
pub const LOOKED_FOR: SignedDuration = SignedDuration::from_secs(150);
/// How many projects a piece of reading has where each costs requests of its own.
const READ_AT_ONCE: usize = 10;
/// How many watched names are asked for in a piece of work.
pub const NAMES_AT_ONCE: usize = 4;
/// While so many projects wait to be read for the first time, the listing waits: the first rows are full before the last are
/// known.
const BACKLOG: usize = 200;
/// The part of the even rate that listings may take: a large source is listed less often.
const LISTING_SHARE: f64 = 0.1;
/// The same of reading the whole state of projects of which nothing is told to have moved, where news are asked for as well: their
/// colours are known, and what led to them can wait.
const UNHURRIED_SHARE: f64 = 0.35;
/// So much of that share is left however much is asked for news.
const LEAST_LEFT: f64 = 0.2;
/// Requests a second of which more are not worth saving: a server of one's own whose limit is there for form's sake.
const PLENTY: f64 = 100.0;
/// What moved is asked for so often, where the platform tells it in one question.
const MOVED_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// What has not happened within this is looked at again: a budget may have come back by other means.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// What a source is scheduled by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// `cache.refresh_interval`: how often a listing is due, and what the pace of projects is in proportion to.
    pub every: SignedDuration,
}

/// What there is to spend at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Means {
    /// What is left of the limit.
    pub budget: Option<Budget>,
    /// The requests that it counted since the start.
    pub spent: u64,
    /// All requests since the start.
    pub sent: u64,
    /// How many of these there may be in a minute, where the platform says so.
    pub most_per_minute: Option<u64>,
    /// How many projects one question may cover, and what that is paid from.
    pub batching: Option<Batching>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// The next page of the listing, or the next few watched names.
    List,
    /// What moved since the last listing, in one question.
    Moved,
    /// The state of these projects.
    Read {
        /// Which.
        projects: Vec<NativeId>,
        /// How, and for whom.
        reading: Reading,
    },
}

impl Work {
    const fn kind(&self) -> Kind {
        match self {
            Self::List | Self::Moved => Kind::Listing,
            Self::Read { .. } => Kind::Reading,
        }
    }
}

/// How projects are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Their whole state, ahead of all else: somebody looks at them, or a webhook told of them.
    Urgent,
    /// What moved, of many at once.
    News,
    /// Their whole state.
    Whole,
}

impl Reading {
    const fn slot(self) -> Slot {
        match self {
            Self::Urgent => Slot::Urgent,
            Self::News => Slot::News,
            Self::Whole => Slot::Whole,
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This.
    Do(Work),
    /// Nothing before then, unless something happens.
    Wait(Timestamp),
}

/// One source's schedule.
#[derive(Debug)]
pub struct Scheduler {
    plan: Plan,
    tracks: BTreeMap<NativeId, Track>,
    bucket: Bucket,
    /// What pays for questions about many, where the platform counts them apart.
    batches: Option<Bucket>,
    /// What may be sent at all, where the platform counts that as well.
    sending: Option<Bucket>,
    batching: Option<Batching>,
    /// Whether there is a limit.
    limited: bool,
    circuit: Circuit,
    costs: Costs,
    listing: Listing,
    /// Until then no whole state is read that nothing hurries ([`UNHURRIED_SHARE`]).
    unhurried_at: Timestamp,
    /// A delivery that told of runs came.
    webhook_at: Option<Timestamp>,
    /// What is being read.
    reading: BTreeSet<NativeId>,
    /// Which pieces are under way, by [`Slot`].
    busy: [bool; 4],
}

/// Where the listing is.
#[derive(Debug)]
struct Listing {
    due_at: Timestamp,
    began_at: Option<Timestamp>,
    /// Requests that the running one took so far.
    spent: f64,
    /// Whether the last one told of every project's state as well.
    tells: bool,
    /// Whether one ever ended.
    once: bool,
    /// When it is asked what moved; `None` when the platform cannot tell.
    moved_at: Option<Timestamp>,
}

impl Scheduler {
    /// A schedule that begins now: a listing is due, and nothing is known.
    #[must_use]
    pub fn new(plan: Plan, now: Timestamp) -> Self {
        Self {
            plan,
            tracks: BTreeMap::new(),
            bucket: Bucket::new(now),
            batches: None,
            sending: None,
            batching: None,
            limited: false,
            circuit: Circuit::default(),
            costs: Costs::default(),
            listing: Listing {
                due_at: now,
                began_at: None,
                spent: 0.0,
                tells: false,
                once: false,
                moved_at: Some(now),
            },
            unhurried_at: now,
            webhook_at: None,
            reading: BTreeSet::new(),
            busy: [false; 4],
        }
    }

    /// What to do now, with what there is to spend.
    pub fn next(&mut self, now: Timestamp, means: Means) -> Next {
        self.settle(now, means);
        if let Some(until) = self.circuit.open_until(now) {
            return Next::Wait(until.min(after(now, LONGEST_WAIT)));
        }
        if self.circuit.is_probing() {
            // One question alone tells whether it is back.
            return match self.afford(!self.busy.contains(&true), now, PAGE, Slot::Listing) {
                Ok(()) => self.list(now),
                Err(at) => Next::Wait(at),
            };
        }
        let mut soonest = after(now, LONGEST_WAIT);
        match self.try_listing(now) {
            // A listing that goes on is interrupted by who looks; its beginning is not.
            Ok(()) if self.tracks.is_empty() => return self.list(now),
            _ => {}
        }
        match self.try_reading(Reading::Urgent, now) {
            Ok(projects) => return self.start(projects, Reading::Urgent, now),
            Err(at) => soonest = soonest.min(at),
        }
        match self.try_listing(now) {
            Ok(()) => return self.list(now),
            Err(at) => soonest = soonest.min(at),
        }
        match self.try_moved(now) {
            Ok(()) => return self.list_moved(),
            Err(at) => soonest = soonest.min(at),
        }
        for reading in [Reading::News, Reading::Whole] {
            match self.try_reading(reading, now) {
                Ok(projects) => return self.start(projects, reading, now),
                Err(at) => soonest = soonest.min(at),
            }
        }
        Next::Wait(soonest)
    }

    /// Takes note of what was spent, before a piece of work ends: what it cost is learned from that.
    pub fn observe(&mut self, now: Timestamp, means: Means) {
        self.settle(now, means);
    }

    fn settle(&mut self, now: Timestamp, means: Means) {
        self.limited = means.budget.is_some();
        let more = self.bucket.settle(now, means.budget, means.spent);
        self.costs.spent(more);
        if self.busy[Slot::Listing as usize] {
            self.listing.spent += more;
        }
        let per_minute = means.most_per_minute.map(|most| Budget {
            limit: most,
            remaining: most,
            reset_at: None,
            window: Some(SignedDuration::from_mins(1)),
        });
        match per_minute {
            Some(_) => {
                let sending = self.sending.get_or_insert_with(|| Bucket::new(now));
                sending.settle(now, per_minute, means.sent);
            }
            None => self.sending = None,
        }
        self.batching = means.batching.filter(|b| b.per_request > 1);
        match self.batching.and_then(|b| b.budget) {
            // What such questions cost is charged when they are asked: the platform says it beforehand.
            Some(budget) => self.batches.get_or_insert_with(|| Bucket::new(now)).settle_charged(now, budget),
            None => self.batches = None,
        }
    }

    /// What pays for it.
    fn bucket_of(&self, slot: Slot) -> &Bucket {
        let apart = if slot == Slot::News { self.batches.as_ref() } else { None };
        apart.unwrap_or(&self.bucket)
    }

    /// Whether it can be paid now; else when that may be so.
    fn afford(&self, free: bool, now: Timestamp, price: Price, slot: Slot) -> Result<(), Timestamp> {
        let bucket = if slot == Slot::News { self.batches.as_ref() } else { None };
        let at =
            if free { bucket.unwrap_or(&self.bucket).when(now, price, slot == Slot::Urgent) } else { None };
        // Whatever it costs, it is sent.
        let one = Price::exactly(1.0);
        let sending = self.sending.as_ref().map_or(Some(now), |s| s.when(now, one, slot == Slot::Urgent));
        match at.zip(sending).map(|(at, sending)| at.max(sending)) {
            None => Err(after(now, LONGEST_WAIT)),
            Some(at) if at <= now => Ok(()),
            Some(at) => Err(at),
        }
    }

    fn try_listing(&self, now: Timestamp) -> Result<(), Timestamp> {
        let at = self.listing_due(now);
        if at > now {
            return Err(at);
        }
        let unread = self.tracks.values().filter(|t| t.is_unread()).count();
        let few = unread <= BACKLOG || self.listing.began_at.is_none();
        self.afford(few && !self.busy[Slot::Listing as usize], now, PAGE, Slot::Listing)
    }

    /// Between two listings, where they do not tell every state themselves.
    fn try_moved(&self, now: Timestamp) -> Result<(), Timestamp> {
        let idle = self.listing.once && self.listing.began_at.is_none() && !self.listing.tells;
        match self.listing.moved_at {
            Some(at) if idle && at <= now => {
                self.afford(!self.busy[Slot::Listing as usize], now, PAGE, Slot::Listing)
            }
            Some(at) if idle => Err(at),
            _ => Err(Timestamp::MAX),
        }
    }

    fn list_moved(&mut self) -> Next {
        self.bucket.reserve(Slot::Listing, PAGE);
        self.busy[Slot::Listing as usize] = true;
        Next::Do(Work::Moved)
    }

    /// When a listing is due. One that tells every state is as urgent as the most urgent of the projects.
    fn listing_due(&self, now: Timestamp) -> Timestamp {
        if self.listing.began_at.is_some() || !self.listing.tells {
            return self.listing.due_at;
        }
        let told = self.tracks.values().filter(|t| t.is_told());
        let (mut due, mut listed) = (self.listing.due_at, Timestamp::MIN);
        for track in told {
            due = due.min(track.due_at(self.clock(now)).unwrap_or(due));
            listed = listed.max(track.told_at.unwrap_or(listed));
        }
        due.max(after(listed, pace::told_at_most_every(&self.plan)))
    }

    /// Whether what may be spent is worth saving.
    const fn is_short(&self) -> bool {
        self.limited && self.bucket.even_rate() < PLENTY
    }

    const fn clock(&self, now: Timestamp) -> track::Clock<'_> {
        track::Clock {
            plan: &self.plan,
            batched: self.batching.is_some(),
            // Where nothing is short, everything is read at once.
            glances: self.is_short() && matches!(self.batching, Some(b) if b.glances),
            now,
        }
    }

    /// What is to be read now in this way, as far as it can be paid; else when there may be something.
    fn try_reading(&self, reading: Reading, now: Timestamp) -> Result<Vec<NativeId>, Timestamp> {
        if reading == Reading::News && self.batching.is_none() {
            return Err(Timestamp::MAX);
        }
        // Whether it can be read again is for one question to tell.
        let probing = self.circuit.is_half_closed();
        if probing && !self.reading.is_empty() {
            return Err(after(now, LONGEST_WAIT));
        }
        // Whoever cannot have one need not be looked for.
        let slot = reading.slot();
        self.afford(!self.busy[slot as usize], now, self.cost(reading, 1), slot)?;
        let clock = self.clock(now);
        let (mut due, mut soonest) = (Vec::new(), Timestamp::MAX);
        for (id, track) in self.idle() {
            let Some((at, late)) = track.wants(reading, clock) else { continue };
            let at = if self.is_unhurried(reading, track) { at.max(self.unhurried_at) } else { at };
            if at <= now {
                due.push((late, id));
            } else {
                soonest = soonest.min(at);
            }
        }
        if due.is_empty() {
            return Err(soonest);
        }
        latest_first(&mut due);
        // Several at once only where all of them can be paid; one is let through when no more can ever be saved up for it.
        let bucket = self.bucket_of(slot);
        let most = if probing && reading != Reading::News { 1 } else { self.piece(reading) };
        let mut n = due.len().min(most);
        while n > 1 && !bucket.has(self.cost(reading, n), slot == Slot::Urgent) {
            n /= 2;
        }
        self.afford(!self.busy[slot as usize], now, self.cost(reading, n), slot)?;
        let mut projects: Vec<NativeId> = due.into_iter().take(n).map(|(_, id)| id.clone()).collect();
        if reading == Reading::News {
            self.fill(&mut projects, now);
        }
        Ok(projects)
    }

    /// Whether that reading can wait: what there is to see of the project is told otherwise.
    fn is_unhurried(&self, reading: Reading, track: &Track) -> bool {
        reading == Reading::Whole && self.batching.is_some() && self.is_short() && track.is_seen()
    }

    /// How many projects one piece of such a reading has at most.
    fn piece(&self, reading: Reading) -> usize {
        match (reading, self.batching) {
            (Reading::News, Some(batching)) => batching.per_request,
            _ => READ_AT_ONCE,
        }
    }

    /// What reading so many takes, of whatever it is paid from.
    #[expect(clippy::cast_precision_loss, reason = "a question's cost")]
    fn cost(&self, reading: Reading, projects: usize) -> Price {
        match (reading, self.batching) {
            (Reading::News, Some(batching)) => Price::exactly(batching.cost.max(1) as f64),
            _ => self.costs.reading(projects),
        }
    }

    /// Those that will be due soonest come along for nothing.
    fn fill(&self, projects: &mut Vec<NativeId>, now: Timestamp) {
        let room = self.piece(Reading::News).saturating_sub(projects.len());
        if room == 0 {
            return;
        }
        let chosen: BTreeSet<_> = projects.iter().collect();
        let clock = self.clock(now);
        let mut more: Vec<_> = self
            .idle()
            .filter(|(id, _)| !chosen.contains(id))
            .filter_map(|(id, track)| Some((track.wants(Reading::News, clock)?.1, id)))
            .collect();
        latest_first(&mut more);
        let more: Vec<_> = more.into_iter().take(room).map(|(_, id)| id.clone()).collect();
        projects.extend(more);
    }

    fn idle(&self) -> impl Iterator<Item = (&NativeId, &Track)> {
        self.tracks.iter().filter(|(id, _)| !self.reading.contains(*id))
    }

    fn list(&mut self, now: Timestamp) -> Next {
        self.bucket.reserve(Slot::Listing, PAGE);
        self.busy[Slot::Listing as usize] = true;
        if self.listing.began_at.is_none() {
            (self.listing.began_at, self.listing.spent) = (Some(now), 0.0);
        }
        Next::Do(Work::List)
    }

    fn start(&mut self, projects: Vec<NativeId>, reading: Reading, now: Timestamp) -> Next {
        let (slot, cost) = (reading.slot(), self.cost(reading, projects.len()));
        match self.batches.as_mut().filter(|_| reading == Reading::News) {
            Some(batches) => batches.take(cost.expected),
            None => self.bucket.reserve(slot, cost),
        }
        let unhurried = |id: &&NativeId| self.tracks.get(*id).is_some_and(|t| self.is_unhurried(reading, t));
        let can_wait = projects.iter().filter(unhurried).count();
        if can_wait > 0 {
            let even = self.bucket.even_rate();
            // The more is asked for news, the less is spent on what can wait: there are limits to both together.
            let left = (1.0 - self.wanted(now) / even).clamp(LEAST_LEFT, 1.0);
            let rate = even * UNHURRIED_SHARE * left;
            let wait = SignedDuration::try_from_secs_f64(self.cost(reading, can_wait).expected / rate);
            self.unhurried_at = after(now, wait.unwrap_or(LONGEST_WAIT));
        }
        self.reading.extend(projects.iter().cloned());
        self.busy[slot as usize] = true;
        Next::Do(Work::Read { projects, reading })
    }

    /// The listing told of a project. `known` is what is known of it now; `None` when it is not to be asked (archived, no
    /// CI). `active_at` is the platform's time of its last activity: where that has risen, it is due.
    pub fn listed(
        &mut self,
        id: &NativeId,
        known: Option<Known>,
        active_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let track = self.tracks.entry(id.clone()).or_insert_with(|| Track::new(id, now));
        track.listed(known, active_at, now);
    }

    /// A project was read, or could not be. `asked_at` is when the question was sent.
    pub fn read(
        &mut self,
        id: &NativeId,
        known: Known,
        reading: Reading,
        answer: Answer,
        asked_at: Timestamp,
    ) {
        if let Some(track) = self.tracks.get_mut(id) {
            track.read(known, reading != Reading::News, answer, asked_at);
        }
    }

    /// The listing told a project's state as well.
    pub fn told(&mut self, id: &NativeId, known: Known, answer: Answer, asked_at: Timestamp) {
        if let Some(track) = self.tracks.get_mut(id) {
            track.read(known, true, answer, asked_at);
            track.told_at = Some(asked_at);
        }
    }

    /// A project left.
    pub fn forget(&mut self, id: &NativeId) {
        self.tracks.remove(id);
    }

    /// The platform cannot tell what moved.
    pub fn cannot_tell_moved(&mut self) {
        self.listing.moved_at = None;
    }

    /// A piece of work ended well. `more`: the listing has further pages; or more has moved than was told.
    pub fn done(&mut self, work: &Work, more: bool, now: Timestamp) {
        self.learn(work);
        self.ended(work);
        self.circuit.answered(work.kind());
        let moved_every = MOVED_EVERY.min(self.plan.every);
        if *work == Work::Moved {
            self.listing.moved_at = self.listing.moved_at.map(|_| after(now, moved_every));
            if more {
                self.listing.due_at = now;
            }
        }
        if *work == Work::List && !more {
            let spent = std::mem::take(&mut self.listing.spent);
            self.listing.began_at = None;
            self.listing.once = true;
            self.listing.due_at = after(now, self.listing_every(spent));
            self.listing.moved_at = self.listing.moved_at.map(|_| after(now, moved_every));
            let asked = || self.tracks.values().filter(|t| t.is_asked());
            self.listing.tells = asked().count() > 0 && asked().all(Track::is_told);
        }
    }

    /// How long after a listing that took so many requests the next one is due.
    fn listing_every(&self, spent: f64) -> SignedDuration {
        let rate = self.bucket.even_rate() * LISTING_SHARE;
        let affordable = SignedDuration::try_from_secs_f64(spent / rate).unwrap_or(self.plan.every);
        self.plan.every.max(affordable)
    }

    /// The source failed as a whole. `until` is what it said itself; `jitter`, 0 to 1, keeps sources that failed together from
    /// coming back together. Gives back when it is tried again.
    pub fn failed(
        &mut self,
        work: &Work,
        until: Option<Timestamp>,
        now: Timestamp,
        jitter: f64,
    ) -> Timestamp {
        self.costs.failed();
        self.ended(work);
        if *work == Work::List {
            // It begins anew: a page that was asked for in another state of the platform leads nowhere.
            (self.listing.began_at, self.listing.spent, self.listing.due_at) = (None, 0.0, now);
        }
        self.circuit.failed(work.kind(), until, now, jitter)
    }

    /// Learns from what it took what such work takes.
    fn learn(&mut self, work: &Work) {
        match work {
            Work::List | Work::Moved => self.costs.known(PAGE.expected),
            Work::Read { reading: Reading::News, .. } if self.batches.is_some() => {}
            Work::Read { projects, reading: Reading::News } => {
                self.costs.known(self.cost(Reading::News, projects.len()).expected);
            }
            Work::Read { projects, .. } => self.costs.read(projects.len()),
        }
    }

    fn ended(&mut self, work: &Work) {
        let slot = match work {
            Work::List | Work::Moved => Slot::Listing,
            Work::Read { projects, reading } => {
                for id in projects {
                    self.reading.remove(id);
                }
                reading.slot()
            }
        };
        self.busy[slot as usize] = false;
        self.bucket.release(slot);
    }

    /// A webhook told of this project. One that no listing has told of yet is known now. Where webhooks tell of runs, polling
    /// slows; that a push is told of says nothing about runs.
    pub fn woken(&mut self, id: &NativeId, hook: Hook, now: Timestamp) {
        if hook != Hook::Touched {
            self.webhook_at = Some(now);
        }
        let track = self.tracks.entry(id.clone()).or_insert_with(|| Track::unlisted(id, now));
        track.woken(now, hook, &self.plan);
    }

    /// Somebody looks at this project.
    pub fn looked_at(&mut self, id: &NativeId, now: Timestamp) {
        if let Some(track) = self.tracks.get_mut(id) {
            track.looked_until = Some(after(now, LOOKED_FOR));
        }
    }

    /// Something changed outside (a new token, a clock that was set, a reset that was announced): everything that waits for the
    /// source is tried now.
    pub fn wake(&mut self, now: Timestamp) {
        self.circuit.try_now(now);
        self.listing.due_at = self.listing.due_at.min(now);
    }
}

/// The latest first; of equals the order of the ids, so that nothing depends on chance.
fn latest_first(due: &mut [(f64, &NativeId)]) {
    due.sort_by(|(a, id_a), (b, id_b)| b.total_cmp(a).then_with(|| id_a.cmp(id_b)));
}

fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The same of a settings' duration.
#[must_use]
pub fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
