//! A platform in virtual time, and a caller that does what the schedule says: what a day costs, and how old everything gets.

use std::collections::BTreeMap;

use aggregator::schedule::{Answer, EVENLY_WITHIN, Known, Means, Next, Plan, Reading, Scheduler, Work};
use connector::Batching;
use connector::http::Budget;
use domain::{NativeId, Timestamp};
use jiff::SignedDuration;

/// How long every piece of work takes.
const LATENCY: SignedDuration = SignedDuration::from_millis(300);
/// Projects on a page of the listing.
const PAGE: usize = 100;

pub(crate) fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub running: bool,
    pub moved_at: Option<Timestamp>,
    /// Something happened to it since it was read.
    pub changed: bool,
}

/// How a platform counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub limit: u64,
    pub window: SignedDuration,
}

pub(crate) struct Platform {
    pub scheduler: Scheduler,
    pub now: Timestamp,
    pub projects: BTreeMap<NativeId, Project>,
    pub limit: Option<Limit>,
    /// Requests that reading the whole state of one takes.
    pub cost: u64,
    /// How many projects a question about many covers.
    pub batch: Option<usize>,
    /// The listing tells every state.
    pub tells: bool,
    /// It does not answer until then.
    pub down_until: Timestamp,
    /// It lists, and fails on whatever else it is asked.
    pub lists_only: bool,
    pub spent: u64,
    /// What it allows in a minute, free or not.
    pub most_per_minute: Option<u64>,
    /// From so many requests on all are free: nothing is new.
    pub free_from: Option<u64>,
    pub requests: u64,
    /// When how many requests were sent.
    pub sent: Vec<(Timestamp, u64)>,
    /// Who was read when, and how.
    pub reads: Vec<(Timestamp, NativeId, Reading)>,
    /// When the aggregator began anew.
    restarts: Vec<Timestamp>,
    all: Vec<(Timestamp, u64)>,
    every: SignedDuration,
    listed: usize,
    under_way: Vec<(Timestamp, Work)>,
    window_begins: Timestamp,
    resumed: bool,
}

impl Platform {
    pub(crate) fn new(projects: usize, every: SignedDuration, limit: Option<Limit>) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let project = |n: usize| {
            (NativeId::new(n.to_string()), Project { running: false, moved_at: Some(now), changed: false })
        };
        Self {
            scheduler: Scheduler::new(Plan { every }, now),
            now,
            projects: (0..projects).map(project).collect(),
            limit,
            cost: 2,
            batch: None,
            tells: false,
            down_until: Timestamp::MIN,
            lists_only: false,
            most_per_minute: None,
            free_from: None,
            requests: 0,
            spent: 0,
            sent: Vec::new(),
            restarts: Vec::new(),
            all: Vec::new(),
            reads: Vec::new(),
            every,
            listed: 0,
            under_way: Vec::new(),
            window_begins: now,
            resumed: false,
        }
    }

    pub(crate) fn id(n: usize) -> NativeId {
        NativeId::new(n.to_string())
    }

    pub(crate) fn with(&mut self, n: usize, change: impl FnOnce(&mut Project, Timestamp)) {
        let now = self.now;
        let project = self.projects.get_mut(&Self::id(n)).unwrap();
        change(project, now);
        project.changed = true;
    }

    fn spent_in_window(&mut self) -> u64 {
        let Some(limit) = self.limit else { return 0 };
        while self.now >= self.window_begins + limit.window {
            self.window_begins += limit.window;
        }
        let since = self.window_begins;
        self.sent.iter().rev().take_while(|(at, _)| *at >= since).map(|(_, n)| n).sum()
    }

    fn budget(&mut self) -> Option<Budget> {
        let used = self.spent_in_window();
        // It is known from answers only, or from before.
        let Limit { limit, window } = self.limit.filter(|_| self.spent > 0 || self.resumed)?;
        let reset_at = Some(self.window_begins + window);
        Some(Budget { limit, remaining: limit.saturating_sub(used), reset_at, window: Some(window) })
    }

    fn means(&mut self) -> Means {
        let budget = self.budget();
        let batching =
            self.batch.map(|per_request| Batching { per_request, budget: None, cost: 1, glances: false });
        Means {
            budget,
            spent: self.spent,
            sent: self.requests,
            most_per_minute: self.most_per_minute,
            batching,
        }
    }

    /// The aggregator begins anew; the platform goes on counting.
    pub(crate) fn restart(&mut self) {
        self.scheduler = Scheduler::new(Plan { every: self.every }, self.now);
        // What is left is kept.
        self.resumed |= self.spent > 0;
        (self.spent, self.requests, self.listed) = (0, 0, 0);
        self.under_way.clear();
        self.restarts.push(self.now);
    }

    /// How often it began anew within [`EVENLY_WITHIN`], at most.
    pub(crate) fn most_restarts(&self) -> usize {
        let since = |first: Timestamp| {
            self.restarts.iter().filter(move |at| (first..first + EVENLY_WITHIN).contains(*at)).count()
        };
        self.restarts.iter().map(|first| since(*first)).max().unwrap_or(0)
    }

    fn send(&mut self, requests: u64) {
        self.requests += requests;
        self.all.push((self.now, requests));
        if let Some(most) = self.most_per_minute {
            let since = self.now - SignedDuration::from_mins(1);
            let used: u64 = self.all.iter().rev().take_while(|(at, _)| *at > since).map(|(_, n)| n).sum();
            assert!(used <= most, "{used} in a minute that may have {most}");
        }
        if self.free_from.is_some_and(|from| self.requests > from) {
            return;
        }
        self.spent += requests;
        self.sent.push((self.now, requests));
        if let Some(limit) = self.limit {
            let used = self.spent_in_window();
            assert!(used <= limit.limit, "over the limit: {used} of {}", limit.limit);
        }
    }

    /// Lets time pass until then.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        while self.now < end {
            let means = self.means();
            match self.scheduler.next(self.now, means) {
                Next::Do(work) => self.begin(work),
                Next::Wait(until) => {
                    assert!(until > self.now, "a wait that is over");
                    let ends = self.under_way.iter().map(|(at, _)| *at).min();
                    self.now = until.min(ends.unwrap_or(until)).min(end).max(self.now);
                    self.finish();
                }
            }
        }
    }

    pub(crate) fn run_for(&mut self, span: SignedDuration) {
        self.run_until(self.now + span);
    }

    fn begin(&mut self, work: Work) {
        let down = self.now < self.down_until;
        let requests = match &work {
            Work::List | Work::Moved => 1,
            Work::Read { reading: Reading::News, .. } => 1,
            Work::Read { projects, .. } if down => projects.len().min(1) as u64,
            Work::Read { projects, .. } => projects.len() as u64 * self.cost,
        };
        self.send(requests);
        if let Work::Read { projects, reading } = &work {
            assert!(!projects.is_empty());
            self.reads.extend(projects.iter().map(|id| (self.now, id.clone(), *reading)));
        }
        self.under_way.push((self.now + LATENCY, work));
    }

    fn finish(&mut self) {
        let now = self.now;
        let (done, rest) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = rest;
        let done: Vec<(Timestamp, Work)> = done;
        for (_, work) in done {
            // What was spent is seen before it ends.
            let means = self.means();
            self.scheduler.observe(now, means);
            if let Work::Read { projects, reading } = &work
                && self.lists_only
            {
                for id in projects {
                    let known = Known { running: false, moved_at: self.projects[id].moved_at };
                    let failed = Answer::Failed("it fails".to_owned());
                    self.scheduler.read(id, known, *reading, failed, now - LATENCY);
                }
                self.scheduler.failed(&work, None, now, 0.5);
                continue;
            }
            if now < self.down_until {
                self.listed = 0;
                self.scheduler.failed(&work, None, now, 0.5);
                continue;
            }
            let more = self.answer(&work);
            self.scheduler.done(&work, more, now);
        }
    }

    fn answer(&mut self, work: &Work) -> bool {
        let asked_at = self.now - LATENCY;
        let known = |p: &Project| Known { running: p.running, moved_at: p.moved_at };
        match work {
            Work::List => {
                let page: Vec<_> = self.projects.iter().skip(self.listed).take(PAGE).collect();
                for (id, project) in page {
                    self.scheduler.listed(id, Some(known(project)), project.moved_at, asked_at);
                    if self.tells {
                        self.scheduler.told(id, known(project), Answer::Unchanged, asked_at);
                    }
                }
                self.listed += PAGE;
                let more = self.listed < self.projects.len();
                if !more {
                    self.listed = 0;
                }
                more
            }
            Work::Moved => {
                self.scheduler.cannot_tell_moved();
                false
            }
            Work::Read { projects, reading } => {
                for id in projects {
                    let Some(project) = self.projects.get_mut(id) else { continue };
                    let changed = std::mem::take(&mut project.changed);
                    let answer = if changed { Answer::Changed } else { Answer::Unchanged };
                    self.scheduler.read(id, known(project), *reading, answer, asked_at);
                }
                false
            }
        }
    }

    pub(crate) fn sent_since(&self, since: Timestamp) -> u64 {
        self.sent.iter().filter(|(at, _)| *at >= since).map(|(_, n)| n).sum()
    }

    /// The most that was sent within [`EVENLY_WITHIN`].
    pub(crate) fn busiest(&self) -> u64 {
        let (mut most, mut first, mut sum) = (0, 0, 0);
        for (at, n) in &self.sent {
            sum += n;
            while self.sent[first].0 + EVENLY_WITHIN <= *at {
                sum -= self.sent[first].1;
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }

    /// The longest time that passed since `since` between two readings of this project, and to its first and last.
    pub(crate) fn longest_gap(&self, n: usize, since: Timestamp) -> SignedDuration {
        let id = Self::id(n);
        let mut last = since;
        let mut longest = SignedDuration::ZERO;
        for (at, _, _) in self.reads.iter().filter(|(at, read, _)| *read == id && *at >= since) {
            longest = longest.max(at.duration_since(last));
            last = *at;
        }
        longest.max(self.now.duration_since(last))
    }
}
