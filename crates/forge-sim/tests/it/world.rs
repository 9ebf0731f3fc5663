//! The truth itself: one seed one story, time moves one way, commands do what they say.

use crate::common::{get, start, still};
use forge_sim::world::{Project, Shape, Style, Trigger, Workflow, WorldConfig};
use forge_sim::{Pace, RunStatus, World, github, gitlab};
use jiff::SignedDuration;

fn world(seed: u64, projects: usize, pace: Pace) -> World {
    World::new(WorldConfig {
        seed,
        projects,
        start: start(),
        faces: vec![(gitlab::FACE, Style::Stages), (github::FACE, Style::Workflows)],
        pace,
        broken: None,
        running: None,
        asleep: 0.0,
    })
}

/// All that can be seen of a project, as text.
fn portrait(project: &Project) -> String {
    let jobs: Vec<_> = project.pipelines().iter().map(|run| project.jobs(run).to_vec()).collect();
    let history = project.history();
    format!(
        "{} {} {:?} {:?} {:?} {:?} {:?}",
        project.full_path(),
        project.updated_at,
        history.runs,
        jobs,
        history.branches,
        history.merge_requests,
        history.issues
    )
}

fn picture(world: &World) -> Vec<String> {
    world.projects().map(portrait).collect()
}

#[test]
fn one_seed_tells_one_story_whatever_the_steps() {
    let end = start() + SignedDuration::from_mins(30);
    let mut once = world(3, 60, Pace::DEMO);
    once.advance_to(end);
    let mut often = world(3, 60, Pace::DEMO);
    let mut now = start();
    while now < end {
        now = (now + SignedDuration::from_millis(1_337)).min(end);
        often.advance_to(now);
    }
    let mut looked_at = world(3, 60, Pace::DEMO);
    let _ = picture(&looked_at); // looking at the past does not change the future
    looked_at.advance_to(end);
    assert_eq!(picture(&once), picture(&often));
    assert_eq!(picture(&once), picture(&looked_at));
    assert_ne!(picture(&once), picture(&world(4, 60, Pace::DEMO)));
}

#[tokio::test]
async fn one_seed_gives_the_same_bytes() {
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let (builder, _clock) = still(20);
        let sim = builder.start().await.unwrap();
        let mut seen = String::new();
        for (base, path) in [
            (sim.gitlab_url(), "/api/v4/projects?per_page=100"),
            (sim.gitlab_url(), "/api/v4/projects/1001/jobs?per_page=100"),
            (sim.github_url(), "/repos/web-platform/checkout/actions/runs"),
        ] {
            seen += &get(&format!("{base}{path}"))
                .await
                .text()
                .replace(&base, "BASE")
                .replace(&base[7..], "HOST");
        }
        bodies.push(seen);
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn what_is_over_stays_over_unless_retried() {
    let mut world = world(5, 40, Pace::DEMO);
    let mut last: Vec<(u64, u32, RunStatus, i64)> = Vec::new();
    let (mut ended, mut changes) = (0, 0);
    for step in 1..200 {
        world.advance_to(start() + SignedDuration::from_secs(step * 10));
        let now: Vec<_> = world
            .projects()
            .flat_map(Project::pipelines)
            .map(|run| (run.id, run.attempt, run.status, run.updated_at.as_millisecond()))
            .collect();
        let by_id: std::collections::HashMap<u64, _> = now.iter().map(|run| (run.0, *run)).collect();
        for before in &last {
            let after = by_id[&before.0];
            assert!(after.3 >= before.3, "updated_at went back");
            if before.2.is_terminal() && after != *before {
                assert!(after.1 > before.1, "{before:?} became {after:?} without a retry");
            }
            changes += usize::from(after != *before);
            ended += usize::from(after.2.is_terminal() && !before.2.is_terminal());
        }
        last = now;
    }
    assert!(ended > 50 && changes > 200, "{ended} ended, {changes} changes in 33 minutes of demo");
}

#[test]
fn times_of_jobs_and_pipelines_fit_together() {
    let mut world = world(9, 60, Pace::DEMO);
    world.advance_to(start() + SignedDuration::from_mins(20));
    for project in world.projects() {
        for run in project.pipelines() {
            let jobs = project.jobs(run);
            let what = format!("{} {:?}", project.full_path(), run);
            assert!(run.updated_at <= world.now() && run.created_at <= run.updated_at, "{what}");
            if let (Some(from), Some(to)) = (run.started_at, run.finished_at) {
                assert!(run.created_at <= from && from <= to, "{what}");
            }
            for job in jobs {
                if let (Some(from), Some(to)) = (job.started_at, job.finished_at) {
                    assert!(from <= to, "{what} {job:?}");
                    assert!(run.finished_at.is_none_or(|end| to <= end), "{what} {job:?}");
                }
            }
            let broken = jobs.iter().any(|j| !j.retried && !j.allow_failure && j.status == RunStatus::Failed);
            assert_eq!(broken, run.status == RunStatus::Failed, "{what} {jobs:#?}");
            let warned = jobs.iter().any(|j| !j.retried && j.allow_failure && j.status == RunStatus::Failed);
            assert!(run.status != RunStatus::Success || warned == run.warnings, "{what} {jobs:#?}");
        }
    }
}

#[test]
fn shapes_are_what_they_say() {
    let world = world(1, 60, Pace::STILL);
    let newest = |project: &Project| {
        project.newest_outcome("main", 0).or(project.newest_outcome("master", 0)).map(|r| r.status)
    };
    for project in world.projects() {
        let runs = project.pipelines();
        let name = project.full_path();
        match project.shape {
            Shape::Broken { minutes } => {
                let main = project.default_branch.clone().unwrap();
                let on_main: Vec<_> = runs
                    .iter()
                    .filter(|r| r.branch == main && r.workflow == 0 && r.status.is_terminal())
                    .filter(|r| !matches!(r.trigger, Trigger::MergeRequest(_)))
                    .collect();
                let green = on_main.iter().rposition(|r| r.status == RunStatus::Success).unwrap();
                let first_red = on_main[green + 1];
                let since = world.now().duration_since(first_red.finished_at.unwrap()).as_mins();
                let off = (since - i64::from(minutes)).unsigned_abs();
                let slack = u64::from(project.workflows[0].median_seconds) / 60 + 2;
                assert!(off <= slack, "{name}: broken for {since} min, not {minutes}");
            }
            Shape::NoRuns | Shape::NoCi | Shape::Empty => assert!(runs.is_empty(), "{name}"),
            Shape::Quiet => assert!(
                runs.iter().all(|r| world.now().duration_since(r.updated_at).as_hours() > 180 * 24),
                "{name}"
            ),
            Shape::Waiting => assert_eq!(
                runs.iter().rfind(|r| r.workflow == 0).unwrap().status,
                RunStatus::Manual,
                "{name}"
            ),
            Shape::Green => assert!(newest(project).is_none_or(|s| s == RunStatus::Success), "{name}"),
            _ => {}
        }
        if !runs.is_empty() {
            let main = project.default_branch.clone().unwrap();
            assert!(runs.iter().filter(|r| r.branch == main).count() >= 40, "{name}: too little history");
        }
    }
    let overlapping = world
        .projects_of(gitlab::FACE)
        .filter(|p| world.find_native(github::FACE, p.native_id).is_some())
        .count();
    assert_eq!(overlapping, 30, "ids of different platforms overlap");
    assert!(world.projects().any(|p| p.path.len() > 90) && world.projects().any(|p| !p.name.is_ascii()));
    assert!(world.projects().flat_map(Project::pipelines).any(|r| r.attempt > 1));
}

#[test]
fn commands_do_what_they_say() {
    let mut world = world(2, 12, Pace::STILL);
    let id = world.project("payments/fraud-rules").unwrap();
    let author = World::person("ida");
    let sha = world.push_commit(id, "feature/new", author, "Try it").unwrap();
    assert_eq!(world.get(id).unwrap().commit(&sha).unwrap().author.person().login, "ida");
    let run = world.start_pipeline(id, "feature/new", 0, true).unwrap();
    let status = |world: &World| world.get(id).unwrap().pipeline(run).unwrap().status;
    assert_eq!(status(&world), RunStatus::Queued);
    world.set_now(start() + SignedDuration::from_secs(10));
    assert_eq!(status(&world), RunStatus::Running);
    let first = world.get(id).unwrap().pipeline(run).map(|r| world.get(id).unwrap().jobs(r)[0].id).unwrap();
    world.finish_job(id, first, RunStatus::Failed).unwrap();
    assert_eq!(status(&world), RunStatus::Failed, "a failed job fails its pipeline");
    assert!(world.cancel(id, run).is_err(), "it is over");
    world.retry(id, run).unwrap();
    assert!(status(&world).is_active());
    assert_eq!(world.get(id).unwrap().pipeline(run).unwrap().attempt, 2);
    world.set_now(start() + SignedDuration::from_hours(2));
    assert_eq!(status(&world), RunStatus::Success, "retried jobs succeed");
    let other = world.start_pipeline(id, "main", 0, true).unwrap();
    world.finish_pipeline(id, other, RunStatus::Failed).unwrap();
    assert_eq!(world.get(id).unwrap().newest_outcome("main", 0).unwrap().id, other);
    world.delete_branch(id, "feature/new").unwrap();
    assert!(world.get(id).unwrap().branch("feature/new").is_none());
    world.archive(id).unwrap();
    world.delete_project(id).unwrap();
    assert!(world.get(id).is_none() && world.project("payments/fraud-rules").is_none());
    let new = world.add_project(gitlab::FACE, "payments/brand-new").unwrap();
    assert!(world.get(new).unwrap().pipelines().len() >= 40);
}

#[test]
fn the_demo_moves_every_couple_of_seconds_and_heals() {
    let mut world = world(1, 60, Pace::DEMO);
    let status = |world: &World| -> Vec<(u64, RunStatus, i64)> {
        world
            .projects()
            .flat_map(Project::pipelines)
            .map(|r| (r.id, r.status, r.updated_at.as_millisecond()))
            .collect()
    };
    let (mut before, mut moved, mut running) = (status(&world), 0, 0);
    for second in (3..=600).step_by(3) {
        world.advance_to(start() + SignedDuration::from_secs(second));
        let after = status(&world);
        moved += usize::from(after != before);
        running += after.iter().filter(|(_, status, _)| status.is_active()).count();
        before = after;
    }
    assert!(moved > 150, "something moved in {moved} of 200 steps of 3 s");
    let mean = running / 200;
    assert!((4..40).contains(&mean), "{mean} run at once");
    world.advance_to(start() + SignedDuration::from_hours(3));
    let red = world
        .projects()
        .filter(|p| p.shape.is_lively())
        .filter(|p| {
            let main = p.default_branch.as_deref().unwrap_or("main");
            p.newest_outcome(main, 0).is_some_and(|r| r.status == RunStatus::Failed)
        })
        .count();
    assert!(red < 15, "{red} of 60 are red after three hours: nothing heals");
}

#[test]
fn ten_thousand_projects_are_cheap_until_they_are_read() {
    let world = world(1, 10_000, Pace::DEMO);
    assert_eq!(world.projects().count(), 10_000);
    let far = world.find_native(gitlab::FACE, 1_001 + 7 * 4_999).unwrap();
    let _: &Workflow = far.workflows.first().unwrap_or(&world.projects().next().unwrap().workflows[0]);
    assert_eq!(far.id, world.project(&far.full_path()).unwrap());
    let paths: std::collections::HashSet<_> = world.projects().map(|p| (p.face, p.full_path())).collect();
    assert_eq!(paths.len(), 10_000);
}
