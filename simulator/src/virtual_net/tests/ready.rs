//! Owners who confirm each other's keys while their programs run: the first masked round follows within seconds, and nothing is
//! charged before.

use souk_client::ledger::read_ledger;
use souk_client::membership::{Membership, trust};
use souk_common::ids::Digest;
use souk_common::plan::Plan;
use souk_common::secagg::records::fingerprint;

use super::*;
use crate::virtual_net::federation::VirtualShop;

/// From the last owner's word to the model: a look at the files every two seconds, and a round over ordinary lines.
const SECONDS: Duration = Duration::from_secs(10);

/// One masked round of these shops with the times that plans have by default: attempts of ten minutes, steps of one.
fn masked(shops: &[VirtualShop]) -> Plan {
    let names = shops
        .iter()
        .map(|shop| format!("[[shops]]\nname = '{}'\ndeclared_users = 100\n", shop.name));
    Plan::from_toml(&format!(
        "name = 'masked'\nrounds = 1\n[model]\nkind = 'mf'\ngmf_dim = 16\nitem_bias = false\n[train]\nsolver = 'ials'\n\
         alpha = 0.1\nlambda = 1.0\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 0.5\n\
         placement = 'distributed'\n[masking]\nmin_shops = 3\ncolluding = 1\n[cohort]\nquorum = 3\n\
         [server]\noptimiser = 'adam'\nlearning_rate = 0.05\n{}",
        names.collect::<String>()
    ))
    .unwrap()
}

/// The owner of shop `at` confirms the keys of all others, as `souk-client confirm` writes them.
fn confirm(shops: &[VirtualShop], at: usize) {
    for other in shops.iter().filter(|other| other.name != shops[at].name) {
        let membership = Membership::load(&other.folder).unwrap();
        let key: Digest = fingerprint(&membership.signing_identity(&other.folder).unwrap().public());
        trust::write(&shops[at].folder, &other.name, &key).unwrap();
    }
}

fn charged(shop: &VirtualShop) -> usize {
    match shop.folder.ledger().exists() {
        true => read_ledger(&shop.folder.ledger()).unwrap().spends().count(),
        false => 0,
    }
}

async fn until<E>(running: &Running<E>, words: &str) -> Timestamp {
    let said = async {
        loop {
            if let Some((at, _)) = lines(running, words).first() {
                return *at;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let said = tokio::time::timeout(LONGEST, said).await;
    said.unwrap_or_else(|_| panic!("never {words:?}: {:?}", running.said()))
}

#[test]
fn the_first_masked_round_follows_the_last_owners_word_within_seconds_and_nothing_is_charged_before() {
    virtually(async {
        let net = Net::new(71, START);
        let federation = Federation::new(&net, &setting(3, 1)).unwrap();
        let shops = &federation.shops;
        shops.iter().for_each(|shop| shop.host.set_conditions(LINE));
        let mut serving = federation.serve_plan(&masked(shops), false);
        let mut running: Vec<_> = shops.iter().map(|shop| federation.run(shop)).collect();
        // Nobody has confirmed anybody: an attempt that nobody can complete is no reason to wait for a step's end.
        let stands_still = until(&serving, "paused: so many shops declined").await;
        assert!(stands_still < START + SECONDS, "{:?}", serving.said());
        for at in 0..shops.len() {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(lines(&serving, "published:").is_empty(), "{at}");
            assert!(shops.iter().all(|shop| charged(shop) == 0), "{at}");
            confirm(shops, at);
        }
        let last = net.now();
        let published = until(&serving, "published:").await;
        assert!(published < last + SECONDS, "{:?}", serving.said());
        serving.wait().await.unwrap();
        for shop in &mut running {
            shop.stop().await.unwrap();
        }
        assert!(shops.iter().all(|shop| charged(shop) == 1));
        // One that ended at once, and the one that was published.
        assert_eq!(
            lines(&serving, "ended below quorum").len(),
            1,
            "{:?}",
            serving.said()
        );
    })
    .unwrap();
}

#[test]
fn a_shop_that_is_ready_while_keys_are_taken_in_is_in_the_open_attempt() {
    virtually(async {
        let net = Net::new(72, START);
        let federation = Federation::new(&net, &setting(4, 1)).unwrap();
        let shops = &federation.shops;
        shops.iter().for_each(|shop| shop.host.set_conditions(LINE));
        // The fourth is away all the time, and could come: the attempt has hope.
        (0..2).for_each(|at| confirm(shops, at));
        let mut serving = federation.serve_plan(&masked(shops), false);
        let mut running: Vec<_> = shops[..3].iter().map(|shop| federation.run(shop)).collect();
        until(&running[2], "declined").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(lines(&serving, "ended").is_empty(), "{:?}", serving.said());
        confirm(shops, 2);
        let last = net.now();
        let published = until(&serving, "published:").await;
        assert!(published < last + SECONDS, "{:?}", serving.said());
        assert_eq!(
            lines(&serving, "3 of 4 shops, attempt 1").len(),
            1,
            "{:?}",
            serving.said()
        );
        // The one that was away is not waited for.
        serving.stop().await.unwrap();
        for shop in &mut running {
            shop.stop().await.unwrap();
        }
        assert!(shops[..3].iter().all(|shop| charged(shop) == 1));
    })
    .unwrap();
}
