//! How one gets in: over TLS or not, and with how many connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::switch::Switch;
use crate::tls::Tls;

/// Connections at once from one address, unless it is this machine's or a trusted proxy's: nobody takes them all.
const MAX_FROM_ONE_ADDRESS: usize = 1024;

/// How one gets in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) tls: Option<Tls>,
    /// Tells who may have more than a share of the connections.
    pub(crate) current: Switch,
}

impl Entry {
    /// Whether an address may have its share of connections only.
    pub(crate) fn is_bounded(&self, from: IpAddr) -> bool {
        !from.to_canonical().is_loopback() && !self.current.trusts(from)
    }
}

/// Open connections by address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Shares {
    /// A further connection from there, until it is dropped; nothing when there are too many.
    pub(crate) fn take(&self, from: IpAddr) -> Option<Share> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(from).or_default();
        if *count >= MAX_FROM_ONE_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Share { of: self.clone(), from })
    }
}

/// Counts for its address until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Shares,
    from: IpAddr,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Occupied(mut count) = open.entry(self.from) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::Present;

    #[test]
    fn one_address_has_its_share_of_connections() {
        let shares = Shares::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut taken: Vec<_> = (0..MAX_FROM_ONE_ADDRESS).map(|_| shares.take(one).unwrap()).collect();
        assert!(shares.take(one).is_none() && shares.take(other).is_some());
        taken.pop();
        assert!(shares.take(one).is_some());
        drop(taken);
        assert!(shares.0.lock().unwrap().is_empty());
        let entry = Entry::default();
        let proxy = "10.1.2.3".parse().unwrap();
        assert!(entry.is_bounded(one) && entry.is_bounded(proxy));
        // Other settings name a proxy.
        entry.current.set(Present { trusted: vec!["10.0.0.0/8".parse().unwrap()], ..Present::default() });
        assert!(entry.is_bounded(one) && !entry.is_bounded(proxy));
        assert!(!entry.is_bounded("::ffff:127.0.0.1".parse().unwrap()));
    }
}
