//! Answers by whoever has the store open: a command, or `serve`.

use std::fs;

use souk_common::clock::Timestamp;
use souk_common::crypto::join_code::JoinCode;
use souk_common::ids::{Digest, ShopName};
use souk_common::plan::Plan;
use souk_common::rng::secret_bytes;
use souk_common::round::shop_list::{ListedShop, ShopList};
use souk_common::round::statements::Manifest;
use zeroize::Zeroizing;

use super::answer::{
    Cancelled, Invitations, Invited, ListedModel, MemberView, Model, Models, Readmitted, Revoked, Shops,
    TakenIn,
};
use super::status::{Live, status};
use super::{Answer, ControlError, Question, refused, views};
use crate::backup;
use crate::engine::NoVersion;
use crate::engine::runs::number_of;
use crate::folder::FederationFolder;
use crate::membership::{authorities, registry};
use crate::store::{IMPORTED, Standing, Store};

/// `address` stands in join codes; `live` is what only a running `serve` knows.
pub(crate) fn answer_on_store(
    now: Timestamp,
    home: &FederationFolder,
    store: &mut Store,
    question: &Question,
    address: &str,
    live: Option<Live>,
) -> Result<Answer, ControlError> {
    Ok(match question {
        Question::Invite(shop) => Answer::Invited(invite(now, home, store, (shop, false), address)?),
        Question::InviteAgain(shop) => Answer::Invited(invite(now, home, store, (shop, true), address)?),
        Question::Invitations => {
            let pending = registry::pending(store, now).map_err(refused)?;
            Answer::Invitations(Invitations {
                invitations: pending.into_iter().map(views::pending).collect(),
            })
        }
        Question::CancelInvitation(shop) => Answer::Cancelled(Cancelled {
            cancelled: shop.clone(),
            codes_ended: registry::cancel(store, now, shop).map_err(refused)?,
        }),
        Question::Shops => {
            let shops = store.shops().map_err(refused)?;
            Answer::Shops(Shops {
                shops: shops
                    .into_iter()
                    .map(views::member)
                    .map(|member| MemberView {
                        carrier: live
                            .as_ref()
                            .and_then(|live| live.carriers.get(&member.name).copied()),
                        ..member
                    })
                    .collect(),
            })
        }
        Question::SignedShops => {
            let members = registry::members(store).map_err(refused)?;
            let listed = members.into_iter().map(|member| ListedShop {
                shop: member.shop,
                identity: member.identity,
            });
            let list = ShopList::new(now, listed.collect());
            Answer::SignedShops(home.signing_key().map_err(refused)?.sign(list))
        }
        Question::Revoke(shop) => {
            let ended = registry::end(store, now, shop, Standing::Revoked).map_err(refused)?;
            Answer::Revoked(Revoked {
                revoked: shop.clone(),
                was_a_shop: ended.was_known,
                codes_ended: ended.codes,
            })
        }
        Question::Readmit(shop) => {
            registry::readmit(store, now, shop).map_err(refused)?;
            Answer::Readmitted(Readmitted {
                readmitted: shop.clone(),
            })
        }
        Question::Status => Answer::Status(Box::new(status(home, store, live)?)),
        Question::Models => {
            let runs = store.runs().map_err(refused)?;
            let models = store.models().map_err(refused)?.into_iter();
            let listed = models.map(|signed| ListedModel {
                run: number_of(&runs, &signed.body.plan).unwrap_or(1),
                kept: store.files().contains(&signed.body.model),
                manifest: signed.body,
            });
            Answer::Models(Models {
                models: listed.collect(),
            })
        }
        Question::Model(choice) => {
            let runs = store.runs().map_err(refused)?;
            let current = store
                .run()
                .map_err(refused)?
                .and_then(|run| number_of(&runs, &run.plan));
            let name = choice.in_run(current.unwrap_or(1));
            let plan = (name.run as usize)
                .checked_sub(1)
                .and_then(|at| runs.get(at))
                .map(|run| run.plan);
            // The newest of its round, whatever it came from.
            let wanted = |manifest: &Manifest| {
                Some(manifest.plan) == plan && name.round.is_none_or(|round| manifest.id.round == round)
            };
            let Some(manifest) = store.find_model(wanted).map_err(refused)? else {
                return Err(refused(NoVersion::Unknown { name }));
            };
            let file = &manifest.body.model;
            let path = match store.files().contains(file) {
                true => Some(store.files().as_file(file, &home.exported()).map_err(refused)?),
                false => None,
            };
            let run = name.run;
            Answer::Model(Model { run, manifest, path })
        }
        Question::TakeInCatalogue => {
            let imported = note_import(home, store)?;
            let run = store.run().map_err(refused)?;
            let is_other = run.is_none_or(|run| run.catalogue != imported);
            let words = is_other.then(|| "the next `serve` takes it in".to_owned());
            Answer::TakenIn(TakenIn {
                words: words.into_iter().collect(),
            })
        }
        Question::CaRotate => {
            let config = home.config().map_err(refused)?;
            authorities::rotate(home, &config.name, now).map_err(refused)?;
            Answer::Authorities(views::authorities(home, store)?)
        }
        Question::CaStatus => Answer::Authorities(views::authorities(home, store)?),
        Question::CaRetire { force } => {
            let left_behind = authorities::retire(home, store, *force).map_err(refused)?;
            let mut said = views::authorities(home, store)?;
            said.left_behind = Some(left_behind);
            Answer::Authorities(said)
        }
        Question::Snapshot => {
            let begun = backup::begin(home, store).map_err(refused)?;
            Answer::Snapshot(backup::finish(&begun, now).map_err(refused)?)
        }
        Question::Pause | Question::Resume | Question::Rollback(_) => {
            return Err(refused("this command needs the run"));
        }
    })
}

/// Remembers which catalogue was imported: `verify` tells it from one that was edited in place.
pub(crate) fn note_import(home: &FederationFolder, store: &mut Store) -> Result<Digest, ControlError> {
    let digest = home.catalogue().map_err(refused)?.digest();
    let noted = store.change(|change| change.set_meta(IMPORTED, &digest));
    noted.map_err(refused)?;
    Ok(digest)
}

fn invite(
    now: Timestamp,
    home: &FederationFolder,
    store: &mut Store,
    (shop, again): (&ShopName, bool),
    address: &str,
) -> Result<Invited, ControlError> {
    let secret = Zeroizing::new(secret_bytes::<16>().map_err(refused)?);
    let invited = match again {
        true => registry::invite_again(store, now, shop, &secret),
        false => registry::invite(store, now, shop, &secret),
    };
    let (expires_at, codes_ended) = invited.map_err(refused)?;
    let code = JoinCode {
        address: address.to_owned(),
        ca: home.authority().map_err(refused)?.fingerprint(),
        secret,
    };
    Ok(Invited {
        code: code.to_string(),
        shop: shop.clone(),
        expires_at,
        for_its_own_key_only: again,
        codes_ended,
        not_in_plan: plan_in_use(home, store).is_some_and(|plan| plan.terms_of(shop).is_none()),
    })
}

/// The plan of the run; before there is one, the `plan.toml` in the folder, if there is any that can be read.
fn plan_in_use(home: &FederationFolder, store: &Store) -> Option<Plan> {
    match store.run().ok()? {
        Some(run) => Plan::from_bytes(&store.files().read(&run.plan).ok()?).ok(),
        None => Plan::from_toml(&fs::read_to_string(home.path().join("plan.toml")).ok()?).ok(),
    }
}
