//! What must hold after the kills, from the folders that are left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use souk_client::folder::Folder;
use souk_client::ledger::read_ledger;
use souk_client::store::{Store as ShopStore, UploadRecord};
use souk_common::chain::LogHead;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::params::Delta;
use souk_common::privacy::ledger::Chain;
use souk_common::round::statements::{Outcome, Receipt};
use souk_coordinator::folder::FederationFolder;
use souk_coordinator::store::{Entry, Store};
use souk_coordinator::verify::{OutsideEvidence, check_with};

use crate::chaos::supervisor::Done;
use crate::check::Check;
use crate::data::ledgers;
use crate::processes::folders::Folders;

/// What the record says, as far as it is counted here.
#[derive(Debug, Default, Serialize)]
pub(super) struct Account {
    /// Attempts that were opened.
    pub(super) attempts: u64,
    /// Those that made a model.
    pub(super) published: u64,
    /// Those that did not.
    pub(super) abandoned: u64,
    /// Updates that were received.
    pub(super) received: u64,
    /// Spends in all ledgers.
    pub(super) spends: u64,
    /// Largest epsilon of a shop; none without a bound.
    pub(super) epsilon: Option<f64>,
    #[serde(skip)]
    receipts: Vec<Receipt>,
    #[serde(skip)]
    plan: Option<Digest>,
    #[serde(skip)]
    model: Option<Digest>,
}

/// One shop's own books.
struct Books {
    shop: ShopName,
    uploads: Vec<UploadRecord>,
    ledger: Chain,
    model: Option<Digest>,
    epsilon: Option<f64>,
}

/// Checks everything; all programs have ended.
pub(super) fn check(folders: &Folders, rounds: u64, done: &Done) -> anyhow::Result<(Account, Vec<Check>)> {
    let mut account = account(folders)?;
    let books = folders.shops().iter().map(|shop| books(folders, shop));
    let books: Vec<Books> = books.collect::<anyhow::Result<_>>()?;
    account.spends = books
        .iter()
        .map(|books| books.ledger.spends().count() as u64)
        .sum();
    account.epsilon = books
        .iter()
        .map(|books| books.epsilon)
        .try_fold(0.0, |most, one| one.map(|epsilon| f64::max(most, epsilon)));
    let checks = vec![
        completed(&account, rounds),
        one_model(&account, &books),
        receipts(&account, &books),
        charged(&account, &books),
        one_update_an_attempt(&account, &books),
        verified(folders)?,
        nobody_ended_alone(done),
        clean_stops(done),
    ];
    Ok((account, checks))
}

fn account(folders: &Folders) -> anyhow::Result<Account> {
    let store = Store::open(&folders.home(), None).context("opening the coordinator's store")?;
    let mut account = Account::default();
    for record in store.log().context("reading the coordinator's record")? {
        match record.entry {
            Entry::Began(manifest) => account.plan = Some(manifest.body.plan),
            Entry::Announced(_) => account.attempts += 1,
            Entry::Received(receipt) => account.receipts.push(receipt.body),
            Entry::Ended(outcome) => match outcome.body {
                Outcome::Published(manifest) => {
                    account.published += 1;
                    account.model = Some(manifest.model);
                }
                Outcome::BelowQuorum { .. } | Outcome::NotUnmasked { .. } => account.abandoned += 1,
            },
            _ => {}
        }
    }
    account.received = account.receipts.len() as u64;
    Ok(account)
}

fn books(folders: &Folders, shop: &ShopName) -> anyhow::Result<Books> {
    let folder = Folder::new(folders.shop_dir(shop));
    let store = ShopStore::open(&folder).with_context(|| format!("opening the store of {shop}"))?;
    let ledger = read_ledger(&folder.ledger())?;
    let epsilon = ledger.composition(None).epsilon(Delta::new(1e-5)?);
    Ok(Books {
        shop: shop.clone(),
        uploads: store.uploads()?,
        model: store.current_model()?.map(|manifest| manifest.model),
        epsilon: epsilon.map(|epsilon| epsilon.get()),
        ledger,
    })
}

fn completed(account: &Account, rounds: u64) -> Check {
    Check {
        name: "the run completed".into(),
        ok: account.published == rounds && account.attempts == account.published + account.abandoned,
        detail: format!(
            "{} of {rounds} rounds published, {} of {} attempts abandoned",
            account.published, account.abandoned, account.attempts
        ),
    }
}

fn one_model(account: &Account, books: &[Books]) -> Check {
    let others: Vec<_> = books
        .iter()
        .filter(|books| books.model != account.model)
        .collect();
    Check {
        name: "every shop holds the last model".into(),
        ok: account.model.is_some() && others.is_empty(),
        detail: match others.first() {
            Some(books) => format!("{} holds {:?}", books.shop, books.model),
            None => account.model.map_or("none".to_owned(), |model| model.to_string()),
        },
    }
}

fn receipts(account: &Account, books: &[Books]) -> Check {
    let mut wrong = Vec::new();
    let mut stored = 0;
    for upload in books.iter().flat_map(|books| &books.uploads) {
        let Some(receipt) = &upload.receipt else { continue };
        stored += 1;
        if !account.receipts.contains(&receipt.body) {
            wrong.push(format!("{}: of {}", receipt.body.shop, receipt.body.upload.id));
        }
    }
    Check {
        name: "every receipt that a shop stored is in the coordinator's record".into(),
        ok: wrong.is_empty() && stored > 0,
        detail: first_wrong(&wrong, format!("{stored} receipts")),
    }
}

/// Whatever reached the coordinator, or was about to leave, is in the ledger that its header names.
fn charged(account: &Account, books: &[Books]) -> Check {
    let mut wrong = Vec::new();
    let mut good = 0;
    for books in books {
        let spends = books.ledger.spends();
        let charged: BTreeSet<(Digest, AttemptId)> =
            spends.map(|(_, spend)| (spend.plan, spend.id())).collect();
        let received = account
            .receipts
            .iter()
            .filter(|receipt| receipt.shop == books.shop);
        let uploads = received
            .map(|receipt| receipt.upload)
            .chain(books.uploads.iter().map(|upload| upload.header));
        for upload in uploads {
            let said = LogHead {
                length: upload.ledger_length,
                head: upload.ledger_head,
            };
            let spent = account
                .plan
                .is_some_and(|plan| charged.contains(&(plan, upload.id)));
            match spent && books.ledger.must_contain(said).is_ok() {
                true => good += 1,
                false => wrong.push(format!("{}: {} is not charged", books.shop, upload.id)),
            }
        }
    }
    Check {
        name: "every update that was received, or may have left, is charged in its shop's ledger".into(),
        ok: wrong.is_empty() && good > 0,
        detail: first_wrong(&wrong, format!("{} spends in all", account.spends)),
    }
}

fn one_update_an_attempt(account: &Account, books: &[Books]) -> Check {
    let mut updates: BTreeMap<(&ShopName, AttemptId), BTreeSet<Digest>> = BTreeMap::new();
    let mut count = 0;
    for receipt in &account.receipts {
        let known = updates.entry((&receipt.shop, receipt.upload.id)).or_default();
        known.insert(receipt.upload.update);
        count += 1;
    }
    let once = updates.len() == count;
    for books in books {
        for upload in &books.uploads {
            let known = updates.entry((&books.shop, upload.header.id)).or_default();
            known.insert(upload.header.update);
        }
    }
    let wrong: Vec<String> = updates
        .iter()
        .filter(|(_, digests)| digests.len() > 1)
        .map(|((shop, id), digests)| format!("{shop}: {} updates for {id}", digests.len()))
        .collect();
    Check {
        name: "no shop made, or sent, two updates for one attempt".into(),
        ok: wrong.is_empty() && once,
        detail: first_wrong(&wrong, format!("{} updates", updates.len())),
    }
}

fn verified(folders: &Folders) -> anyhow::Result<Check> {
    let home = FederationFolder::new(folders.home());
    let shops: Vec<PathBuf> = folders
        .shops()
        .iter()
        .map(|shop| folders.shop_dir(shop))
        .collect();
    let evidence = OutsideEvidence {
        ledgers: ledgers::read(&shops)?,
        ..OutsideEvidence::default()
    };
    let report = check_with(home.path(), &home.signing_key()?.public(), &evidence)?;
    let wrong: Vec<String> = report
        .checks
        .iter()
        .flat_map(|check| {
            check
                .wrong
                .iter()
                .map(move |wrong| format!("{}: {wrong}", check.name))
        })
        .collect();
    Ok(Check {
        name: "`souk-sim verify` passes, with each shop's ledger".into(),
        ok: report.ok,
        detail: first_wrong(&wrong, format!("{} entries in the record", report.log_length)),
    })
}

fn nobody_ended_alone(done: &Done) -> Check {
    Check {
        name: "no program ended by itself".into(),
        ok: done.ended_alone.is_empty(),
        detail: first_wrong(
            &done.ended_alone,
            format!("{} starts after the first", done.starts),
        ),
    }
}

fn clean_stops(done: &Done) -> Check {
    Check {
        name: "every program stopped well within seconds of SIGTERM".into(),
        ok: done.bad_stops.is_empty(),
        detail: first_wrong(&done.bad_stops, "exit code 0".to_owned()),
    }
}

fn first_wrong(wrong: &[String], good: String) -> String {
    match wrong.first() {
        Some(first) if wrong.len() > 1 => format!("{first}, and {} more", wrong.len() - 1),
        Some(first) => first.clone(),
        None => good,
    }
}

#[cfg(test)]
mod tests {
    use souk_client::participate::AttemptKey;
    use souk_common::clock::Timestamp;
    use souk_common::crypto::sign::SigningKey;
    use souk_common::params::{ClipNorm, NoiseMultiplier, SamplingRate};
    use souk_common::privacy::Spend;
    use souk_common::privacy::ledger::{Ledger, MemorySink};
    use souk_common::round::statements::UploadHeader;

    use super::*;

    const PLAN: Digest = Digest([7; 32]);

    /// A shop that was charged for a round, and sent `updates` of it, of which the coordinator has the first.
    fn sent(updates: &[&[u8]], charged: bool) -> (Account, Books) {
        let shop: ShopName = "north".parse().unwrap();
        let id = AttemptId { round: 1, attempt: 1 };
        let mut ledger = Ledger::open(MemorySink::default(), b"", &shop, Timestamp(0)).unwrap();
        if charged {
            let spend = Spend {
                plan: PLAN,
                round: 1,
                attempt: 1,
                noise_multiplier: NoiseMultiplier::new(1.0).ok(),
                sampling_rate: SamplingRate::new(0.1).unwrap(),
                clip_norm: ClipNorm::new(1.0).unwrap(),
                shared: None,
            };
            ledger.charge(spend, Timestamp(1)).unwrap();
        }
        let headers = updates
            .iter()
            .map(|update| UploadHeader::of(id, update, ledger.head()));
        let headers: Vec<UploadHeader> = headers.collect();
        let receipt = Receipt {
            shop: shop.clone(),
            upload: headers[0],
            stored_at: Timestamp(2),
            log: ledger.head(),
        };
        let signed = SigningKey::from_bytes(&[1; 32]).sign(receipt.clone());
        let uploads = headers.iter().map(|header| UploadRecord {
            key: AttemptKey { plan: PLAN, id },
            header: *header,
            ready_at: Timestamp(1),
            first_sent_at: Some(Timestamp(1)),
            bytes_sent: 1,
            receipt: (*header == headers[0]).then(|| signed.clone()),
            rejected: None,
            masked: false,
            binding: None,
            due_at: None,
        });
        let books = Books {
            shop,
            uploads: uploads.collect(),
            ledger: ledger.chain().clone(),
            model: None,
            epsilon: None,
        };
        let account = Account {
            receipts: vec![receipt],
            plan: Some(PLAN),
            ..Account::default()
        };
        (account, books)
    }

    #[test]
    fn books_that_fit_the_record_pass() {
        let (account, books) = sent(&[b"update"], true);
        let books = [books];
        for check in [
            receipts(&account, &books),
            charged(&account, &books),
            one_update_an_attempt(&account, &books),
        ] {
            assert!(check.ok, "{}: {}", check.name, check.detail);
        }
    }

    #[test]
    fn a_receipt_the_record_lacks_an_uncharged_update_and_a_second_one_are_each_found() {
        let (mut account, books) = sent(&[b"update"], true);
        account.receipts[0].stored_at = Timestamp(3);
        assert!(!receipts(&account, &[books]).ok);
        let (account, books) = sent(&[b"update"], false);
        assert!(!charged(&account, &[books]).ok);
        let (account, books) = sent(&[b"update", b"another"], true);
        assert!(!one_update_an_attempt(&account, &[books]).ok);
        let (mut account, books) = sent(&[b"update"], true);
        account.receipts.push(account.receipts[0].clone());
        assert!(!one_update_an_attempt(&account, &[books]).ok, "received twice");
    }
}
