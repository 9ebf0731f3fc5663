//! An address that is not what the configuration says.

use forge_sim::{FACES, Sim};

use crate::Subject;
use crate::stage::{SOURCE, Stage};

/// At the address of every other simulated platform: one sentence with what was expected, and no rows.
pub async fn other_platforms(subject: &'static Subject) {
    let stage = Stage::new(subject, 1).await;
    let others = Sim::builder().projects(2 * FACES.len()).start().await.unwrap();
    let own = subject.platform.descriptor;
    // A platform may have several faces, all of which are its own.
    let foreign = FACES.iter().filter(|face| !face.0.starts_with(own.id.as_str()));
    for face in foreign {
        let source = stage.source_at(&others.url(*face));
        match source.projects(None).await {
            Ok(page) => panic!("at {face}: {} projects", page.items.len()),
            Err(error) => {
                // As the aggregator tells it.
                let words = error.naming(source.source()).to_string();
                assert!(words.contains(own.title), "at {face}: says what was expected: {words}");
                assert!(!words.contains(stage.sim.token()), "at {face}: shows the token");
                assert_eq!(words.matches(SOURCE).count(), 1, "at {face}: names the source once: {words}");
            }
        }
        let one = source.project("acme/site").await;
        assert!(one.is_err(), "at {face}: {one:?}");
    }
}
