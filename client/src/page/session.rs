//! Who may see the page: somebody who can ask the running program for a one-time link, or who has the shop's token.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use data_encoding::BASE64URL_NOPAD;
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::rng::secret_bytes;
use subtle::ConstantTimeEq;

/// One-time codes and sessions, in memory: a restart ends all of them.
#[derive(Default)]
pub struct Sessions(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// Where the page is, `http://127.0.0.1:4480`; none while it is not served.
    address: Option<String>,
    /// Digests of codes, with the time until which each is good.
    codes: Vec<(Digest, Timestamp)>,
    /// By the digest of the cookie's secret: what is looked up takes no time that tells of the secret.
    sessions: HashMap<Digest, Session>,
}

/// A session under way.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    until: Timestamp,
    /// What every form of the session has in it.
    pub(crate) form_token: String,
}

impl Session {
    /// Whether a form came from a page of this session.
    pub(crate) fn made(&self, form_token: &str) -> bool {
        same(&self.form_token, form_token)
    }
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let digest = |text: &str| Digest::of(text.as_bytes()).0;
    digest(a).ct_eq(&digest(b)).into()
}

/// 32 bytes that nobody guesses, as text.
pub(crate) fn secret_text() -> anyhow::Result<String> {
    let bytes = secret_bytes::<32>().context("the system gives no random numbers")?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

impl Sessions {
    /// Notes where the page is served.
    pub(crate) fn serve_at(&self, address: String) {
        self.held().address = Some(address);
    }

    /// A link that signs in once, within [`CODE_LIFE`].
    ///
    /// # Errors
    /// When the page is not served, or the system gives no random numbers.
    pub fn link(&self, now: Timestamp) -> anyhow::Result<String> {
        let mut held = self.held();
        let address = held.address.clone().context(NOT_SERVED)?;
        let code = secret_text()?;
        held.codes.retain(|(_, until)| *until > now);
        if held.codes.len() == MOST_CODES {
            held.codes.remove(0);
        }
        held.codes.push((Digest::of(code.as_bytes()), now + CODE_LIFE));
        Ok(format!("{address}/signin?code={code}"))
    }

    /// Takes a code and begins a session; the secret of its cookie. None if the code is unknown, used or too old.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn redeem(&self, code: &str, now: Timestamp) -> anyhow::Result<Option<String>> {
        let digest = Digest::of(code.as_bytes());
        let is_good = {
            let mut held = self.held();
            held.codes.retain(|(_, until)| *until > now);
            let before = held.codes.len();
            held.codes.retain(|(known, _)| *known != digest);
            held.codes.len() < before
        };
        is_good.then(|| self.begin(now)).transpose()
    }

    /// Begins a session; the secret of its cookie.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn begin(&self, now: Timestamp) -> anyhow::Result<String> {
        let (secret, form_token) = (secret_text()?, secret_text()?);
        let mut held = self.held();
        held.sessions.retain(|_, session| session.until > now);
        if held.sessions.len() >= MOST_SESSIONS {
            let ends_first = held.sessions.iter().min_by_key(|(_, session)| session.until);
            if let Some(digest) = ends_first.map(|(digest, _)| *digest) {
                held.sessions.remove(&digest);
            }
        }
        let session = Session {
            until: now + SESSION_LIFE,
            form_token,
        };
        held.sessions.insert(Digest::of(secret.as_bytes()), session);
        Ok(secret)
    }

    /// The session of a cookie's secret, if it goes on.
    pub(crate) fn find(&self, secret: &str, now: Timestamp) -> Option<Session> {
        let held = self.held();
        let session = held.sessions.get(&Digest::of(secret.as_bytes()))?;
        (session.until > now).then(|| session.clone())
    }

    /// Ends a session.
    pub(crate) fn end(&self, secret: &str) {
        self.held().sessions.remove(&Digest::of(secret.as_bytes()));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a link is good.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(600);
/// How long a session lasts.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// To whoever asks for a link in vain.
pub(crate) const NOT_SERVED: &str = "the page is not served: start `souk-client run --http`, or name `listen` under [http] in shop.toml and start `run` again";
const MOST_CODES: usize = 10;
const MOST_SESSIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_795_867_200_000);

    fn code(link: &str) -> &str {
        link.split_once("code=").expect("a link has a code").1
    }

    #[test]
    fn a_code_is_used_once_and_within_ten_minutes() {
        let sessions = Sessions::default();
        assert!(
            sessions
                .link(NOON)
                .unwrap_err()
                .to_string()
                .contains("run --http")
        );
        sessions.serve_at("http://127.0.0.1:4480".to_owned());
        let link = sessions.link(NOON).unwrap();
        assert!(link.starts_with("http://127.0.0.1:4480/signin?code="), "{link}");
        let late = sessions.link(NOON).unwrap();
        let in_time = NOON + CODE_LIFE - Duration::from_secs(1);
        assert!(sessions.redeem("guessed", in_time).unwrap().is_none());
        assert!(sessions.redeem(code(&link), in_time).unwrap().is_some());
        assert!(sessions.redeem(code(&link), in_time).unwrap().is_none());
        assert!(sessions.redeem(code(&late), NOON + CODE_LIFE).unwrap().is_none());
    }

    #[test]
    fn a_session_ends_after_twelve_hours_or_when_it_is_ended() {
        let sessions = Sessions::default();
        let (first, second) = (sessions.begin(NOON).unwrap(), sessions.begin(NOON).unwrap());
        let session = sessions.find(&first, NOON).expect("it goes on");
        let other = sessions.find(&second, NOON).expect("it goes on");
        assert!(session.made(&session.form_token) && !session.made(&other.form_token));
        sessions.end(&first);
        assert!(sessions.find(&first, NOON).is_none());
        assert!(sessions.find(&second, NOON + SESSION_LIFE).is_none());
        assert!(sessions.find("guessed", NOON).is_none());
    }

    #[test]
    fn so_many_sessions_are_kept_and_no_more() {
        let sessions = Sessions::default();
        let first = sessions.begin(NOON).unwrap();
        for _ in 0..MOST_SESSIONS {
            sessions.begin(NOON + Duration::from_secs(1)).unwrap();
        }
        assert!(sessions.find(&first, NOON).is_none());
        assert_eq!(sessions.held().sessions.len(), MOST_SESSIONS);
    }
}
