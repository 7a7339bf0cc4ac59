//! Becoming a member: the key is made here, the coordinator certifies it against a one-time code.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use souk_common::clock::Timestamp;
use souk_common::crypto::join_code::JoinCode;
use souk_common::crypto::pki::{request_for, shop_key, shop_of};
use souk_common::ids::Digest;
use souk_common::secagg::records::fingerprint;
use souk_common::storage::private::make_folder;
use souk_common::terminal::say;
use souk_common::transport::{Platform, TransportChoice, Trust};
use souk_common::wire::messages::{Reply, Request};
use zeroize::Zeroizing;

use crate::config::{self, ShopConfig};
use crate::error::UsageError;
use crate::folder::Folder;
use crate::link::timeouts::{Step, within};
use crate::link::{Route, ask, is_refused_code, unexpected};
use crate::membership::Membership;
use crate::membership::peers::spoken;
use crate::store::Store;
use souk_common::storage::write_whole;

/// Joins with `code` and fills the folder; a join that was stopped at any place before is finished, by the same key.
///
/// # Errors
/// When the folder is a shop's already, the code is wrong, used or expired, or the coordinator is not there.
pub fn join(code: &str, folder: &Folder, data: Option<&Path>) -> anyhow::Result<bool> {
    let code: JoinCode = code.parse().map_err(|error| UsageError(format!("{error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let write = |path: &Path, bytes: &[u8], secret| write_whole(path, bytes, secret);
    let membership = runtime.block_on(join_on(&Platform::system(), &code, folder, data, write))?;
    let identity = membership.signing_identity(folder)?;
    let (dir, config) = (folder.path().display(), folder.config());
    say(&format!(
        "You are in: shop {} of the federation at {}.\n\
         Your key's fingerprint, for the owners of other shops to compare by phone:\n  {}\n\
         Next: look at {}, then\n  \
         souk-client check-data --dir {dir}\n  \
         souk-client shops --dir {dir}   (theirs; in sums under masks only shops you have confirmed count)\n  \
         souk-client run --dir {dir}",
        membership.shop,
        membership.address,
        spoken(&fingerprint(&identity.public())),
        config.display()
    ))?;
    Ok(true)
}

/// Joins on a machine; `write` puts a whole file on its disk, a secret one if so said. Wherever that stops, the same call goes on
/// from what is there.
///
/// # Errors
/// As [`join`].
pub async fn join_on(
    platform: &Platform,
    code: &JoinCode,
    folder: &Folder,
    data: Option<&Path>,
    mut write: impl FnMut(&Path, &[u8], bool) -> std::io::Result<()>,
) -> anyhow::Result<Membership> {
    refuse_another_shops(folder, code, data)?;
    let data = data
        .map(fs::canonicalize)
        .transpose()
        .map_err(|error| UsageError(format!("--data: {error}")))?;
    make_folder(folder.path()).with_context(|| format!("can't make {}", folder.path().display()))?;
    let membership = match folder.membership().exists() {
        true => Membership::load(folder)?,
        false => {
            // What `init` made may say it already.
            let transport = match folder.config().exists() {
                true => ShopConfig::load(folder)?.network.transport,
                false => TransportChoice::Auto,
            };
            let is_new = !folder.key().exists();
            let csr = match is_new {
                true => {
                    let (key, csr) = shop_key()?;
                    // Written first: a disk that is full must not cost the one-time code.
                    write(&folder.key(), &key, true).context("can't write the key")?;
                    csr
                }
                false => {
                    let key = Zeroizing::new(fs::read(folder.key()).context("can't read the key")?);
                    request_for(&key).with_context(|| {
                        format!(
                            "{} is no key; if this folder was never a member's, remove it and join again",
                            folder.key().display()
                        )
                    })?
                }
            };
            let membership = certify(platform, code, csr, transport)
                .await
                .inspect_err(|error| {
                    // A key that was refused is of no use. Any other error may have cost the answer to an enrolment: with the key the
                    // same code works once more.
                    if is_new && error.chain().any(is_refused_code) {
                        let _ = fs::remove_file(folder.key());
                    }
                })?;
            write(&folder.membership(), &membership.to_bytes(), false)
                .with_context(|| format!("can't write {}", folder.membership().display()))?;
            membership
        }
    };
    // Last: with it the folder is a shop's. What `init` made stays as its owner has it.
    if !folder.config().exists() {
        let sample = config::sample(data.as_deref());
        write(&folder.config(), sample.as_bytes(), false).context("can't write shop.toml")?;
    }
    Ok(membership)
}

/// A folder is taken that has nothing of a shop's yet, what `init` made, or what a join with this federation's code left when it
/// was stopped.
fn refuse_another_shops(folder: &Folder, code: &JoinCode, data: Option<&Path>) -> anyhow::Result<()> {
    let (membership, key, config) = (folder.membership(), folder.key(), folder.config());
    let refuse = |there: &Path, remedy: &str| -> anyhow::Result<()> {
        Err(UsageError(format!(
            "{} is there already: a shop's folder is never overwritten; {remedy}",
            there.display()
        ))
        .into())
    };
    let other = "choose another --dir, or say --again to go on with this one";
    if config.exists() && (membership.exists() || folder.ledger().exists()) {
        return refuse(&config, other);
    }
    if config.exists() && data.is_some() {
        return refuse(
            &config,
            "it says where the data are: leave out --data, or change it there",
        );
    }
    if !membership.exists() {
        return Ok(());
    }
    if !key.exists() {
        return refuse(
            &membership,
            "its key.der is missing: put it back from a backup, or choose another --dir",
        );
    }
    // A join was stopped before shop.toml was there.
    match Membership::load(folder) {
        Ok(found) if Digest::of(&found.ca) == code.ca => Ok(()),
        Ok(found) => refuse(
            &membership,
            &format!(
                "it is of the federation at {}, and the code is of another one: to finish that join, give its own code; for the \
                 other federation choose another --dir",
                found.address
            ),
        ),
        Err(error) => refuse(&membership, &format!("and it can't be read ({error:#}); {other}")),
    }
}

/// Takes part again with a folder that was a member's: the same name and key, the same ledger, a new certificate, and
/// perhaps another coordinator, whose record begins where the operator says that it does.
///
/// # Errors
/// When the folder is no shop's or in use, or the code is another shop's, wrong, used or expired.
pub fn join_again(code: &str, folder: &Folder) -> anyhow::Result<bool> {
    let code: JoinCode = code.parse().map_err(|error| UsageError(format!("{error}")))?;
    let transport = ShopConfig::load(folder)?.network.transport;
    let before = Membership::load(folder)?;
    // Nothing may run on what is about to change.
    let store = Store::open_patiently(folder)?;
    let csr = request_for(&before.identity(folder)?.key)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let membership = runtime.block_on(certify(&Platform::system(), &code, csr, transport))?;
    ensure!(
        membership.shop == before.shop,
        "the code is for {}, and this folder with its ledger is {}'s: ask the operator for a code for {}",
        membership.shop,
        before.shop,
        before.shop
    );
    membership.store(folder)?;
    store.begin_anew()?;
    say(&format!(
        "{} takes part again, with the same key and ledger, at {}.\n\
         What it saw of the coordinator's record before is forgotten.",
        membership.shop, membership.address
    ))?;
    Ok(true)
}

/// Has the coordinator certify a key; the membership that comes of it is not stored yet.
///
/// # Errors
/// When the code is wrong, used or expired, or the coordinator is not there.
pub async fn certify(
    platform: &Platform,
    code: &JoinCode,
    csr: Vec<u8>,
    transport: TransportChoice,
) -> anyhow::Result<Membership> {
    let route = Route {
        address: code.address.clone(),
        transport,
    };
    let dialled = route.dial(platform, &Trust::Fingerprint(code.ca), None).await?;
    let connection = &dialled.connection;
    let request = Request::Join {
        secret: *code.secret,
        csr,
    };
    let (reply, mut send, _recv) = within(Step::Ask, ask(connection, &request)).await??;
    // The answer is what counts; the stream may be gone by now.
    let _ = send.finish();
    let membership = joined(code, platform.clock.now(), reply)?;
    connection.close(0u32.into(), b"joined");
    // The code is used up and the certificate is here: that the goodbye arrives is only a courtesy.
    let _ = within(Step::Close, dialled.wait_idle()).await;
    Ok(membership)
}

/// What the coordinator's reply to a request to join makes of this shop.
///
/// # Errors
/// When the code is wrong, used or expired, or the reply does not fit it.
pub fn joined(code: &JoinCode, now: Timestamp, reply: Reply) -> anyhow::Result<Membership> {
    let Reply::Joined {
        certificate,
        ca,
        shop,
        signing_key,
    } = reply
    else {
        return Err(unexpected(reply));
    };
    ensure!(
        Digest::of(&ca) == code.ca,
        "the coordinator's CA is not the one in the join code"
    );
    ensure!(
        shop_of(&certificate).as_ref() == Some(&shop),
        "the certificate does not carry the name {shop}"
    );
    Ok(Membership {
        shop,
        address: code.address.clone(),
        ca,
        certificate,
        signing_key: signing_key.to_vec(),
        joined_at: now,
        left_at: None,
        other_cas: Vec::new(),
        authorities: 0,
        former_certificate: None,
    })
}
