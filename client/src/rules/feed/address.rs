//! Addresses of product feeds, and where they may lead.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// An address that a feed may be read from: `https`, or `http` where nobody in between can change what is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedAddress {
    uri: Uri,
    /// Whether the owner allows `http` beyond this machine.
    allow_http: bool,
}

impl FeedAddress {
    /// Reads an address; `allow_http` is the owner's word that `http` may leave this machine.
    ///
    /// # Errors
    /// In words, when it is none, or not one to read from.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| {
            format!(
                "it is no address ({error}): blanks and letters beyond ASCII are written as %20 and the like"
            )
        })?;
        let address = Self { uri, allow_http };
        if address.uri.scheme().is_none() || address.uri.host().is_none_or(str::is_empty) {
            return Err("it is no whole address: it begins with https:// and a host".to_owned());
        }
        let scheme = address.uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        if scheme != Scheme::HTTPS && scheme != Scheme::HTTP {
            return Err(format!("{scheme}: is not read: https:// is"));
        }
        match scheme == Scheme::HTTP && !allow_http && !address.is_of_this_machine() {
            true => Err(
                "whoever is between you and it can change what http:// brings: write https://, or allow_http = true if nobody is"
                    .to_owned(),
            ),
            false => Ok(address),
        }
    }

    /// Where a redirect from here leads.
    ///
    /// # Errors
    /// In words, when it leads to where nothing is read from: out of `https`, or from elsewhere to a service of this machine.
    pub fn follow(&self, location: &str) -> Result<Self, String> {
        let scheme = self.uri.scheme_str().unwrap_or("https");
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path();
        let has_scheme = location
            .split(['/', '?', '#'])
            .next()
            .is_some_and(|start| start.contains(':'));
        let whole = match location {
            _ if has_scheme => location.to_owned(),
            _ if location.starts_with("//") => format!("{scheme}:{location}"),
            _ if location.starts_with('/') => format!("{scheme}://{authority}{location}"),
            _ if location.starts_with('?') => format!("{scheme}://{authority}{path}{location}"),
            _ => {
                let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
                format!("{scheme}://{authority}{folder}{location}")
            }
        };
        let led = Self::parse(&whole, self.allow_http)
            .map_err(|error| format!("it leads to {}, and there {error}", without_secrets(&whole)))?;
        let is_plain = |address: &Self| address.uri.scheme() == Some(&Scheme::HTTP);
        let goes_within = led.is_of_this_machine() && !self.is_of_this_machine();
        match is_plain(&led) && (!is_plain(self) || goes_within) {
            true => Err(format!(
                "it leads to {led}, and from https:// or from elsewhere nothing is followed there"
            )),
            false => Ok(led),
        }
    }

    /// Whether the service is one of this machine.
    pub fn is_of_this_machine(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let ip = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// As a client needs it.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// Without passwords and what stands behind `?`, which often is a key: this is for logs.
impl fmt::Display for FeedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.uri.to_string()))
    }
}

pub(super) fn without_secrets(address: &str) -> String {
    let (address, query) = match address.split_once(['?', '#']) {
        Some((address, _)) => (address, "?..."),
        None => (address, ""),
    };
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    match scheme.is_empty() {
        true => format!("{address}{query}"),
        false => format!("{scheme}://{host}{path}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FeedAddress, String> {
        FeedAddress::parse(text, false)
    }

    #[test]
    fn https_is_read_and_http_on_this_machine_or_where_the_owner_says_so() {
        for text in [
            "https://www.shop.example/feed.xml?key=1",
            "http://127.0.0.1:8080/feed",
            "http://[::1]/feed",
            "http://localhost/feed",
        ] {
            parse(text).expect(text);
        }
        for (text, said) in [
            ("http://www.shop.example/feed", "allow_http"),
            ("http://127.0.0.1.evil.example/", "allow_http"),
            ("ftp://www.shop.example/feed", "ftp: is not read"),
            ("file:///etc/passwd", "no"),
            ("feed.xml", "no whole address"),
            ("https:///feed", "no"),
            ("https://shop.example/a feed", "%20"),
            ("", "no address"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        FeedAddress::parse("http://www.shop.example/feed", true).unwrap();
    }

    #[test]
    fn redirects_stay_in_https_and_lead_from_elsewhere_to_no_service_of_this_machine() {
        let from = |start: &str, location: &str| {
            let start = FeedAddress::parse(start, start.contains("lan")).unwrap();
            start.follow(location).map(|led| led.uri().to_string())
        };
        let start = "https://a.example/feeds/one.xml?key=1";
        for (location, led) in [
            ("https://b.example/x", "https://b.example/x"),
            ("//b.example/x", "https://b.example/x"),
            ("/x?y=2", "https://a.example/x?y=2"),
            ("two.xml", "https://a.example/feeds/two.xml"),
            ("?key=2", "https://a.example/feeds/one.xml?key=2"),
        ] {
            assert_eq!(from(start, location).as_deref(), Ok(led));
        }
        for location in [
            "http://a.example/x",
            "http://127.0.0.1/x",
            "file:///etc/passwd",
            "ftp://a.example/x",
            "javascript:alert(1)",
            "data:text/csv,id",
        ] {
            from(start, location).expect_err(location);
        }
        let here = "http://127.0.0.1:1/x";
        assert!(from(here, "/y").is_ok() && from(here, "https://a.example/").is_ok());
        assert!(from(here, "http://a.example/").is_err());
        let near = "http://lan.example/x";
        assert!(from(near, "http://other.example/").is_ok());
        assert!(from(near, "http://localhost/").is_err());
    }

    #[test]
    fn what_is_shown_of_an_address_has_no_password_and_no_key() {
        let shown = |text: &str| parse(text).unwrap().to_string();
        assert_eq!(
            shown("https://me:secret@a.example:8443/feed.xml?key=secret"),
            "https://a.example:8443/feed.xml?..."
        );
        let error = parse("https://a.example/")
            .unwrap()
            .follow("http://me:secret@b.example/?key=secret");
        assert!(!error.clone().unwrap_err().contains("secret"), "{error:?}");
    }
}
