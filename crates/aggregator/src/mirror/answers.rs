//! The answers that a source's clients keep for conditional requests.

use std::sync::{Arc, Weak};

use cache::{Shelf, Values};
use connector::Connector;
use connector::http::{Answers, Heard};
use tokio::sync::Notify;

/// Kept answers by the number of their client and their name there.
struct OfClients(Vec<Answers>);

impl OfClients {
    fn find<'a>(&self, name: &'a str) -> Option<(&Answers, &'a str)> {
        let (client, name) = name.split_once(':')?;
        Some((self.0.get(client.parse::<usize>().ok()?)?, name))
    }
}

impl Values for OfClients {
    fn names(&self) -> Vec<String> {
        let of = |(client, answers): (usize, &Answers)| {
            answers.names().into_iter().map(move |name| format!("{client}:{name}"))
        };
        self.0.iter().enumerate().flat_map(of).collect()
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let (answers, name) = self.find(name)?;
        answers.get(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> bool {
        self.find(name).is_some_and(|(answers, name)| answers.put(name, bytes))
    }
}

struct Tell {
    client: usize,
    /// The shelf holds the answers, which hold this.
    shelf: Weak<Shelf>,
}

impl Heard for Tell {
    fn changed(&self, name: &str) {
        if let Some(shelf) = self.shelf.upgrade() {
            shelf.changed(&format!("{}:{name}", self.client));
        }
    }
}

/// The shelf of a source, which hears of changes from now on. `None` where its clients keep nothing.
pub(crate) fn shelf(connector: &dyn Connector, news: &Arc<Notify>) -> Option<Arc<Shelf>> {
    let clients = connector.answers();
    if clients.is_empty() {
        return None;
    }
    let name = format!("etags:{}", connector.source());
    let shelf = Arc::new(Shelf::new(name, Arc::new(OfClients(clients.clone())), Arc::clone(news)));
    for (client, answers) in clients.into_iter().enumerate() {
        answers.listen(Arc::new(Tell { client, shelf: Arc::downgrade(&shelf) }));
    }
    Some(shelf)
}
