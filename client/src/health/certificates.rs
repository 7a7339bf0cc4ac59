//! Certificates that are near their end: the shop's own, and that of its HTTP service.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::Validity;
use souk_common::date::date;

use super::Finding;
use crate::folder::Folder;
use crate::http::config::HttpConfig;
use crate::membership::Membership;

/// The shop's own, which `run` renews by itself.
pub(crate) fn of_shop(membership: &Membership, now: Timestamp) -> Finding {
    match Validity::of(&membership.certificate) {
        Some(validity) => own(validity, now),
        None => Finding::bad(
            "the certificate in membership.json is damaged: restore the file from a backup, or join again",
        ),
    }
}

fn own(validity: Validity, now: Timestamp) -> Finding {
    let until = date(validity.until);
    if validity.until <= now {
        return Finding::bad(format!(
            "the certificate has run out on {until}: the operator revokes and invites this shop, then `souk-client join CODE \
             --again` takes part with the same key and ledger"
        ));
    }
    let renew_at = validity.renew_at();
    if now < renew_at {
        return Finding::good(format!(
            "valid until {until}; `run` renews it from {} on",
            date(renew_at)
        ));
    }
    // Half of the time for renewals has gone by without one.
    match validity.until.since(now) * 2 < validity.until.since(renew_at) {
        true => Finding::warning(format!(
            "the certificate runs out on {until} and should have been renewed since {}: keep `souk-client run` up until it has \
             connected once; after that day the operator has to invite this shop again",
            date(renew_at)
        )),
        false => Finding::good(format!(
            "valid until {until}; `run` renews it with the next connection"
        )),
    }
}

/// That of the HTTP service, which somebody else renews; none where no certificate is named.
pub(crate) fn of_http(folder: &Folder, http: &HttpConfig, now: Timestamp) -> Option<Finding> {
    let path = folder.path().join(http.tls_cert.as_ref()?);
    let shown = path.display();
    let first = match CertificateDer::from_pem_file(&path) {
        Ok(first) => first,
        Err(error) => {
            return Some(Finding::bad(format!(
                "tls_cert under [http]: can't read a certificate from {shown}: {error}"
            )));
        }
    };
    Some(match Validity::of(&first) {
        Some(validity) => served(validity, now, &shown.to_string()),
        None => Finding::bad(format!(
            "tls_cert under [http]: the certificate in {shown} is damaged"
        )),
    })
}

fn served(validity: Validity, now: Timestamp, path: &str) -> Finding {
    let until = date(validity.until);
    let again = "renew it, and start `run` again, which reads it when it starts";
    let life = validity.until.since(validity.from);
    if validity.until <= now {
        Finding::bad(format!(
            "the HTTP service's certificate ({path}) has run out on {until}, and browsers refuse it: {again}"
        ))
    } else if validity.from > now {
        Finding::bad(format!(
            "the HTTP service's certificate ({path}) is valid from {} on only: is this machine's clock right?",
            date(validity.from)
        ))
    } else if validity.until.since(now) < NEAR_THE_END.min(life / 4) {
        Finding::warning(format!(
            "the HTTP service's certificate ({path}) runs out on {until}: {again}"
        ))
    } else {
        Finding::good(format!("its certificate is valid until {until}"))
    }
}

/// Public authorities renew a month before the end; who has not two weeks before has been forgotten.
const NEAR_THE_END: std::time::Duration = std::time::Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthLevel;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_secs(day * 86_400)
    }

    fn valid(from: i64, until: i64) -> Validity {
        Validity {
            from: day(from),
            until: day(until),
        }
    }

    #[test]
    fn the_shops_own_certificate_is_warned_of_when_its_renewal_has_not_come() {
        let levels = [0, 59, 60, 75, 76, 89, 90].map(|now| own(valid(0, 90), day(now)).level);
        use HealthLevel::{Bad, Good, Warning};
        assert_eq!(levels, [Good, Good, Good, Good, Warning, Warning, Bad]);
        let warning = own(valid(0, 90), day(80));
        assert!(
            warning.text.contains("1970-04-01") && warning.text.contains("souk-client run"),
            "{}",
            warning.text
        );
        assert!(own(valid(0, 90), day(91)).text.contains("join CODE"));
    }

    #[test]
    fn the_certificate_of_the_http_service_is_warned_of_before_it_ends_also_a_short_one() {
        let level = |validity, now| served(validity, day(now), "cert.pem").level;
        use HealthLevel::{Bad, Good, Warning};
        assert_eq!(
            [0, 76, 77, 89, 90].map(|now| level(valid(0, 90), now)),
            [Good, Good, Warning, Warning, Bad]
        );
        assert_eq!([5, 6].map(|now| level(valid(0, 7), now)), [Good, Warning]);
        assert_eq!(level(valid(10, 90), 9), Bad);
    }

    #[test]
    fn a_certificate_that_can_not_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert_eq!(of_http(&folder, &HttpConfig::default(), day(0)), None);
        let http = HttpConfig {
            tls_cert: Some("cert.pem".into()),
            ..HttpConfig::default()
        };
        for text in [
            None,
            Some(""),
            Some("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
        ] {
            if let Some(text) = text {
                std::fs::write(dir.path().join("cert.pem"), text).unwrap();
            }
            let found = of_http(&folder, &http, day(0)).unwrap();
            assert!(
                found.level == HealthLevel::Bad && found.text.contains("cert.pem"),
                "{found:?}"
            );
        }
    }
}
