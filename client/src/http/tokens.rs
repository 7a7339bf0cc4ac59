//! Who may ask: the shop's own programs by one secret token, a customer's browser by a short-lived token that the web shop's
//! server signed for that customer.
//!
//! A customer's token is a JSON Web Token (RFC 7519) with the algorithm HS256 (RFC 7518), which every language's libraries make:
//! claims `sub`, the customer's id, and `exp`, at most [`MOST_LIFE`] ahead; the key is the text in `http/customer-key`.

use std::io;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::rng::secret_bytes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::folder::Folder;

/// The shop's secrets.
pub struct Tokens {
    shop: Digest,
    customer_key: Zeroizing<String>,
}

/// Why a token is of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// It is neither the shop's nor a JSON Web Token.
    #[error(
        "the token is neither the shop's (http/token in its folder) nor a JSON Web Token with the algorithm HS256"
    )]
    Form,
    /// Another key signed it.
    #[error("the token is not signed with the key in http/customer-key")]
    Signature,
    /// It is over.
    #[error("the token has expired: the web shop's server signs a new one")]
    Expired,
    /// It would be good for too long.
    #[error("the token expires in more than an hour: sign it for a shorter time")]
    TooLong,
    /// Of nobody.
    #[error("the token's sub is empty: it must be the customer's id")]
    Nobody,
}

#[derive(Deserialize, Serialize)]
struct Head {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    exp: i64,
}

impl Tokens {
    /// Of the shop in `folder`; made the first time.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open(folder: &Folder) -> io::Result<Self> {
        let shop = secret(folder, "token")?;
        Ok(Self {
            shop: Digest::of(shop.as_bytes()),
            customer_key: secret(folder, "customer-key")?,
        })
    }

    /// Whether `token` is the shop's.
    pub fn is_the_shops(&self, token: &str) -> bool {
        // Of digests, which are of one length, and tell nothing of how far two tokens agree.
        Digest::of(token.as_bytes()).0.ct_eq(&self.shop.0).into()
    }

    /// The customer that a token is signed for.
    ///
    /// # Errors
    /// When it is not signed, or not good at this time.
    pub fn customer(&self, token: &str, now: Timestamp) -> Result<String, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (head, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let decode = |part: &str| {
            BASE64URL_NOPAD
                .decode(part.as_bytes())
                .map_err(|_| TokenError::Form)
        };
        let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| TokenError::Form)?;
        if head.alg != ALGORITHM {
            return Err(TokenError::Form);
        }
        let signature = decode(signature)?;
        self.mac(signed)
            .verify_slice(&signature)
            .map_err(|_| TokenError::Signature)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Form)?;
        let until = Timestamp::from_secs(claims.exp);
        if until <= now {
            return Err(TokenError::Expired);
        }
        if until > now + MOST_LIFE + CLOCKS_APART {
            return Err(TokenError::TooLong);
        }
        if claims.sub.trim().is_empty() {
            return Err(TokenError::Nobody);
        }
        Ok(claims.sub)
    }

    /// A token for a customer, good until `until`.
    pub fn sign(&self, customer: &str, until: Timestamp) -> String {
        let head = Head {
            alg: ALGORITHM.to_owned(),
            typ: Some("JWT".to_owned()),
        };
        let claims = Claims {
            sub: customer.to_owned(),
            exp: until.0.div_euclid(1000),
        };
        let head = serde_json::to_vec(&head).expect("a head has a JSON form");
        let claims = serde_json::to_vec(&claims).expect("claims have a JSON form");
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(&head),
            BASE64URL_NOPAD.encode(&claims)
        );
        let signature = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.customer_key.as_bytes());
        mac.expect("a key may be of any length").chain_update(signed)
    }
}

/// A secret of the folder's, made the first time.
fn secret(folder: &Folder, name: &str) -> io::Result<Zeroizing<String>> {
    let path = folder.http().join(name);
    match folder.disk().read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).ok();
            let text = text.map(|text| text.trim().to_owned());
            let good = text.filter(|text| text.len() >= LEAST_SECRET);
            let bad = || {
                let said = format!(
                    "{} holds no secret of {LEAST_SECRET} characters or more: remove it, and a new one is made",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, said)
            };
            good.map(Zeroizing::new).ok_or_else(bad)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = secret_bytes::<32>()
                .map(Zeroizing::new)
                .map_err(io::Error::other)?;
            let text = Zeroizing::new(BASE64URL_NOPAD.encode(&*bytes));
            folder.write_whole(&path, text.as_bytes(), true)?;
            Ok(text)
        }
        Err(error) => Err(error),
    }
}

const ALGORITHM: &str = "HS256";
/// Of a customer's token.
pub const MOST_LIFE: Duration = Duration::from_secs(3600);
const CLOCKS_APART: Duration = Duration::from_secs(60);
const LEAST_SECRET: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> (tempfile::TempDir, Folder, Tokens) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let tokens = Tokens::open(&folder).unwrap();
        (dir, folder, tokens)
    }

    #[test]
    fn the_shops_token_is_made_once_and_only_it_is_the_shops() {
        let (_dir, folder, tokens) = tokens();
        let token = std::fs::read_to_string(folder.http().join("token")).unwrap();
        assert!(tokens.is_the_shops(&token) && Tokens::open(&folder).unwrap().is_the_shops(&token));
        assert!(!tokens.is_the_shops("") && !tokens.is_the_shops(&token[1..]));
        std::fs::write(folder.http().join("token"), "short").unwrap();
        let said = Tokens::open(&folder).err().unwrap().to_string();
        assert!(said.contains("remove it"), "{said}");
    }

    #[test]
    fn a_customers_token_is_good_for_that_customer_and_for_an_hour_at_most() {
        let (_dir, _, tokens) = tokens();
        let now = Timestamp::from_secs(1_800_000_000);
        let soon = now + Duration::from_secs(600);
        let token = tokens.sign("anna@example.com", soon);
        assert_eq!(tokens.customer(&token, now).unwrap(), "anna@example.com");
        assert_eq!(tokens.customer(&token, soon), Err(TokenError::Expired));
        let long = tokens.sign("anna", now + Duration::from_secs(7200));
        assert_eq!(tokens.customer(&long, now), Err(TokenError::TooLong));
        let nobody = tokens.sign(" ", soon);
        assert_eq!(tokens.customer(&nobody, now), Err(TokenError::Nobody));
    }

    #[test]
    fn what_is_not_signed_by_the_shop_is_refused() {
        let (_dir, _, tokens) = tokens();
        let (_other_dir, _, other) = self::tokens();
        let now = Timestamp::from_secs(1_800_000_000);
        let soon = now + Duration::from_secs(600);
        let token = tokens.sign("anna", soon);
        assert_eq!(
            other.customer(&token, now),
            Err(TokenError::Signature),
            "another shop"
        );
        let parts: Vec<&str> = token.split('.').collect();
        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
        let berts = BASE64URL_NOPAD.encode(br#"{"sub":"bert","exp":1800000600}"#);
        for (said, error) in [
            (format!("{none}.{}.", parts[1]), TokenError::Form),
            (
                format!("{}.{berts}.{}", parts[0], parts[2]),
                TokenError::Signature,
            ),
            (format!("{}.{}", parts[0], parts[1]), TokenError::Form),
            (String::new(), TokenError::Form),
            ("a.b.c".to_owned(), TokenError::Form),
        ] {
            assert_eq!(tokens.customer(&said, now), Err(error), "{said}");
        }
    }

    /// Made with another program (RFC 7515, appendix A.1, has the same construction).
    #[test]
    fn tokens_of_other_libraries_are_understood() {
        let tokens = Tokens {
            shop: Digest::ZERO,
            customer_key: Zeroizing::new("0123456789abcdef0123456789abcdef".to_owned()),
        };
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm5hIiwiZXhwIjoxODAwMDAwNjAwLCJpYXQiOjE4MDAwMDAwMDB9.c0TV2dzKzuHKFbc5ymfOV9ia4D3WE1LjvpY-3YjW6F4";
        assert_eq!(
            tokens
                .customer(token, Timestamp::from_secs(1_800_000_000))
                .unwrap(),
            "anna"
        );
    }
}
