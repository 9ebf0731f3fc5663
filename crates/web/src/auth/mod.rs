//! Who may look: from a request to a [`Visitor`], and whether that one is let in.
//!
//! Everything that says who somebody is ends in one [`Identity`]: a session cookie, a password or token in
//! `Authorization`, the headers of a trusted proxy. OpenID Connect will be one more way to begin a session; what somebody
//! may see will go by the identity's groups, in [`Doorman::admits`] and in the questions to the aggregator.

mod keys;
mod limits;
mod passwords;
mod session;
mod tokens;
mod users;
mod visitor;
mod watched;

use std::sync::Arc;

use config::{AuthMode, Public};
use domain::{Clock, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::SignedDuration;
use lifecycle::Tasks;
use tokio::sync::watch;

use crate::client::Client;

pub use tokens::{NewToken, create_token};
pub use users::hash_password;

pub(crate) use passwords::Denied;
pub(crate) use session::clear_cookie;
pub(crate) use visitor::{Identity, Visitor};
pub(crate) use watched::{FileProblem, Kind, Parsed, Watched};

use keys::KeyRing;
use passwords::Passwords;
use session::Session;
use tokens::Tokens;
use users::Users;
use visitor::By;

/// Sessions that were signed out of before their end, as far as this process remembers.
const MAX_SIGNED_OUT: usize = 10_000;
/// How long a proxy's word lasts, on a connection that does: then the browser comes back, through the proxy.
const PROXY_STANDS: SignedDuration = SignedDuration::from_secs(55);
/// Groups of a user that a proxy tells.
const MAX_GROUPS: usize = 200;

/// What a path is, for those who have not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// Open to all: static files, probes, the way in; webhooks, which are signed.
    Open,
    /// Open to all where the settings say so.
    Public(Public),
    /// For scripts and for our own pages.
    Api,
    /// For people.
    Page,
}

impl Area {
    /// What `path`, below the base path, is.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/metrics" => Self::Public(Public::Metrics),
            "/cctray.xml" | "/feed.atom" => Self::Public(Public::Feeds),
            "/api/health" | "/api/ready" | "/favicon.ico" | "/sign-in" | "/sign-out" => Self::Open,
            _ if path.starts_with("/static/") || path.starts_with("/webhooks/") => Self::Open,
            _ if path.starts_with("/badges/") => Self::Public(Public::Badges),
            _ if path == "/api" || path.starts_with("/api/") => Self::Api,
            _ => Self::Page,
        }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What was shown does not let anybody in.
    Denied(Denied),
    /// A password came over plain HTTP from another machine.
    Insecure,
    /// Only proxies of `server.trusted_proxies` say who is there, and this is none.
    NoProxyOfOurs,
    /// The proxy names the user twice: one of the two may be the client's own word.
    AmbiguousProxy,
}

/// Keeps the door. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Doorman(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mode: AuthMode,
    allow_anonymous: bool,
    public: Vec<Public>,
    proxy_user: HeaderName,
    proxy_groups: HeaderName,
    users: Option<Watched<Users>>,
    tokens: Option<Watched<Tokens>>,
    keys: Option<Watched<KeyRing>>,
    memory: Memory,
    ttl: SignedDuration,
    clock: Arc<dyn Clock>,
}

/// What the door remembers, over a change of the settings as well. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Remembered>);

#[derive(Debug)]
struct Remembered {
    passwords: Passwords,
    signed_out: watch::Sender<Vec<session::Id>>,
}

impl Memory {
    pub(crate) fn new() -> Result<Self, FileProblem> {
        let no_random = || FileProblem { key: "auth", what: "the system gives no random numbers".to_owned() };
        let passwords = Passwords::new().ok_or_else(no_random)?;
        Ok(Self(Arc::new(Remembered { passwords, signed_out: watch::Sender::default() })))
    }

    fn is_signed_out(&self, session: &Session) -> bool {
        self.0.signed_out.borrow().contains(&session.id)
    }
}

/// A cookie to send with the answer.
pub(crate) type SetCookie = HeaderValue;

impl Doorman {
    /// Reads what the settings name. Nothing is opened where nobody signs in.
    pub(crate) fn new(
        auth: &config::Auth,
        memory: Memory,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FileProblem> {
        let basic = auth.mode == AuthMode::Basic;
        let asks = auth.mode != AuthMode::None;
        let of = |key, text: &str| {
            let what = format!("{text:?} is no name of a header");
            HeaderName::try_from(text).map_err(|_| FileProblem { key, what })
        };
        let users = auth.users_file.clone().filter(|_| basic).map(Users::open).transpose()?;
        let tokens = auth.tokens_file.clone().filter(|_| asks).map(Tokens::open).transpose()?;
        let keys = auth.session_key_file.clone().filter(|_| basic).map(KeyRing::open).transpose()?;
        Ok(Self(Arc::new(Inner {
            mode: auth.mode,
            allow_anonymous: auth.allow_anonymous,
            public: auth.public.clone(),
            proxy_user: of("auth.proxy.user_header", &auth.proxy.user)?,
            proxy_groups: of("auth.proxy.groups_header", &auth.proxy.groups)?,
            users,
            tokens,
            keys,
            memory,
            ttl: SignedDuration::try_from(auth.session_ttl).unwrap_or(SignedDuration::MAX),
            clock,
        })))
    }

    /// Looks at the files for as long as the process runs.
    pub(crate) fn keep(&self, tasks: &Tasks) {
        let keep = |name, watching: Option<futures::future::BoxFuture<'static, ()>>| {
            let stop = tasks.stop_token();
            if let Some(watching) = watching {
                tasks.run(name, async move {
                    stop.run_until_cancelled(watching).await;
                });
            }
        };
        keep("users file", self.0.users.clone().map(|w| Box::pin(w.keep()) as _));
        keep("tokens file", self.0.tokens.clone().map(|w| Box::pin(w.keep()) as _));
        keep("session keys", self.0.keys.clone().map(|w| Box::pin(w.keep()) as _));
    }

    /// Whether people sign in here, on a page of ours.
    pub(crate) fn has_sign_in(&self) -> bool {
        self.0.mode == AuthMode::Basic
    }

    /// Somebody of whom nothing is known.
    pub(crate) fn stranger(&self) -> Visitor {
        if self.0.mode == AuthMode::None { Visitor::Everybody } else { Visitor::Nobody }
    }

    /// Whether `visitor` may have what is at `path`. (Roles and visibility will be asked for here.)
    pub(crate) fn admits(&self, visitor: &Visitor, path: &str) -> bool {
        if self.0.mode == AuthMode::None || visitor.identity().is_some() {
            return true;
        }
        match Area::of(path) {
            Area::Open => true,
            Area::Public(what) if self.0.public.contains(&what) => true,
            Area::Public(Public::Metrics) => false,
            Area::Public(_) | Area::Api | Area::Page => self.0.allow_anonymous,
        }
    }

    /// Who sent a request with `headers`, and a younger cookie where it is time for one.
    pub(crate) async fn visitor(
        &self,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<(Visitor, Option<SetCookie>), Refusal> {
        let inner = &*self.0;
        match inner.mode {
            AuthMode::None => return Ok((self.stranger(), None)),
            AuthMode::Proxy => {
                if let Some(identity) = self.by_proxy(headers, client)? {
                    return Ok((Visitor::Known(identity), None));
                }
            }
            AuthMode::Basic | AuthMode::Oidc => {}
        }
        if let Some(shown) = headers.get(header::AUTHORIZATION)
            && let Some(identity) = self.by_authorization(shown, client).await?
        {
            return Ok((Visitor::Known(identity), None));
        }
        Ok(self
            .by_session(headers, client)
            .map_or((Visitor::Nobody, None), |(identity, cookie)| (Visitor::Known(identity), cookie)))
    }

    fn by_proxy(&self, headers: &HeaderMap, client: &Client) -> Result<Option<Identity>, Refusal> {
        let mut names = headers.get_all(&self.0.proxy_user).iter();
        let Some(name) = names.next() else { return Ok(None) };
        if !client.by_trusted_proxy {
            return Err(Refusal::NoProxyOfOurs);
        }
        if names.next().is_some() {
            return Err(Refusal::AmbiguousProxy);
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
        let (name, fits) =
            (text(name), |name: &String| !name.is_empty() && name.len() <= users::MAX_NAME_BYTES);
        let groups: Vec<_> = headers.get_all(&self.0.proxy_groups).iter().map(text).collect();
        let groups = groups.iter().flat_map(|list| list.split(',')).map(str::trim);
        let groups = groups.filter(|group| !group.is_empty()).take(MAX_GROUPS).map(str::to_owned).collect();
        Ok(Some(name).filter(fits).map(|name| Identity::new(name, groups, By::Proxy)))
    }

    async fn by_authorization(
        &self,
        shown: &HeaderValue,
        client: &Client,
    ) -> Result<Option<Identity>, Refusal> {
        const WRONG: Refusal = Refusal::Denied(Denied::Wrong);
        let shown = shown.to_str().map_err(|_| WRONG)?;
        let Some((scheme, value)) = shown.split_once(' ').map(|(s, v)| (s, v.trim())) else {
            return Ok(None);
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            let hash = tokens::hash(value);
            let tokens = self.0.tokens.as_ref().ok_or(WRONG)?.get();
            let token = tokens.get(&hash, self.0.clock.now()).ok_or(WRONG)?;
            let by = By::Token { hash };
            return Ok(Some(Identity::new(format!("token:{}", token.name), Arc::default(), by)));
        }
        if scheme.eq_ignore_ascii_case("basic") && self.has_sign_in() {
            let (name, password) = visitor::basic(value).ok_or(WRONG)?;
            return self.by_password(&name, &password, client).await.map(Some);
        }
        Ok(None)
    }

    /// By name and password, as long as nobody can overhear them.
    pub(crate) async fn by_password(
        &self,
        name: &str,
        password: &str,
        client: &Client,
    ) -> Result<Identity, Refusal> {
        let denied = Refusal::Denied(Denied::Wrong);
        if !may_show_passwords(client) {
            return Err(Refusal::Insecure);
        }
        let users = self.0.users.as_ref().ok_or(denied)?.get();
        let checked =
            self.0.memory.0.passwords.check(Arc::clone(&users), name, password, client.address).await;
        checked.map_err(Refusal::Denied)?;
        let user = users.get(name).ok_or(denied)?;
        let by = By::Password { stamp: user.stamp };
        Ok(Identity::new(name.to_owned(), Arc::clone(&user.groups), by))
    }

    fn by_session(&self, headers: &HeaderMap, client: &Client) -> Option<(Identity, Option<SetCookie>)> {
        let (keys, now) = (self.0.keys.as_ref()?.get(), self.0.clock.now());
        let session::Found { session, key, renew } = session::find(headers, client, &keys, now)?;
        let users = self.0.users.as_ref()?.get();
        let user = users.get(&session.user).filter(|user| user.stamp == session.stamp)?;
        if self.0.memory.is_signed_out(&session) {
            return None;
        }
        let younger = renew.then(|| session.renewed(now, self.0.ttl));
        let cookie = younger.as_ref().and_then(|session| session.set_cookie(&keys, client));
        let (name, groups) = (session.user.clone(), Arc::clone(&user.groups));
        let by = By::Session { session: younger.unwrap_or(session), key };
        Some((Identity::new(name, groups, by), cookie))
    }

    /// Whether there is a user of this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.users.as_ref().is_some_and(|users| users.get().get(name).is_some())
    }

    /// The cookie of a new session of somebody who showed a password.
    pub(crate) fn begin_session(&self, identity: &Identity, client: &Client) -> Option<SetCookie> {
        let By::Password { stamp } = identity.by() else { return None };
        let session = Session::begin(identity.name(), *stamp, self.0.clock.now(), self.0.ttl)?;
        session.set_cookie(&self.0.keys.as_ref()?.get(), client)
    }

    /// Ends the session of `visitor` here; at other processes it ends with its cookie.
    pub(crate) fn end_session(&self, visitor: &Visitor) {
        let Some(By::Session { session, .. }) = visitor.identity().map(Identity::by) else { return };
        let id = session.id;
        self.0.memory.0.signed_out.send_modify(|ended| {
            if ended.len() >= MAX_SIGNED_OUT {
                ended.remove(0);
            }
            ended.push(id);
        });
    }

    /// Done once `visitor` is no longer who it was: signed out, over, taken out of the file, or let in by a key that is
    /// gone; and where that is for a proxy to tell, when it is time to ask it again.
    pub(crate) async fn until_gone(&self, visitor: &Visitor) {
        let Some(identity) = visitor.identity() else { return std::future::pending().await };
        let again = match identity.by() {
            By::Proxy => Some(PROXY_STANDS),
            By::Session { .. } | By::Password { .. } | By::Token { .. } => None,
        };
        tokio::select! {
            () = visitor::wait(again) => {}
            () = self.until_taken_out(identity) => {}
        }
    }

    async fn until_taken_out(&self, identity: &Identity) {
        let mut users = self.0.users.as_ref().map(Watched::subscribe);
        let mut tokens = self.0.tokens.as_ref().map(Watched::subscribe);
        let mut keys = self.0.keys.as_ref().map(Watched::subscribe);
        let mut signed_out = self.0.memory.0.signed_out.subscribe();
        loop {
            let left = match self.left(identity) {
                None => return,
                Some(left) => left,
            };
            tokio::select! {
                () = changed(users.as_mut()) => {}
                () = changed(tokens.as_mut()) => {}
                () = changed(keys.as_mut()) => {}
                () = changed(Some(&mut signed_out)) => {}
                () = visitor::wait(left) => {}
            }
        }
    }

    /// When it ends by itself, if it does.
    pub(crate) fn expires(&self, identity: &Identity) -> Option<Timestamp> {
        let left = self.left(identity)??;
        self.0.clock.now().checked_add(left).ok()
    }

    /// How long the identity still holds, as far as can be told now; nothing once it does not.
    fn left(&self, identity: &Identity) -> Option<Option<SignedDuration>> {
        let now = self.0.clock.now();
        let is_user = |stamp: &users::Stamp| {
            let users = self.0.users.as_ref().map(Watched::get);
            users.is_some_and(|users| users.get(identity.name()).is_some_and(|user| user.stamp == *stamp))
        };
        match identity.by() {
            By::Session { session, key } => {
                let opens = self.0.keys.as_ref().is_some_and(|keys| keys.get().has(key));
                let stands = opens && is_user(&session.stamp) && !self.0.memory.is_signed_out(session);
                session.left(now).filter(|_| stands).map(Some)
            }
            By::Password { stamp } => is_user(stamp).then_some(None),
            By::Token { hash } => {
                let token = self.0.tokens.as_ref()?.get().get(hash, now)?.clone();
                Some(token.expires.map(|at| at.duration_since(now)))
            }
            By::Proxy => Some(None),
        }
    }
}

/// Whether a password may be asked for: nobody on the way can overhear it.
pub(crate) fn may_show_passwords(client: &Client) -> bool {
    client.secure || client.local
}

async fn changed<T>(receiver: Option<&mut watch::Receiver<T>>) {
    if let Some(receiver) = receiver
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests;
