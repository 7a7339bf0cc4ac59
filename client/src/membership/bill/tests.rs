//! Bills for a shop that was put back from an old copy, by coordinators that are honest and ones that are not.

use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::AttemptId;
use souk_common::privacy::ledger::{Ledger, MemorySink};
use souk_common::round::statements::UploadHeader;

use super::*;

const PLAN: &str = "name = \"t\"\nrounds = 4\n[model]\nkind = \"neumf\"\ngmf_dim = 4\nmlp_dim = 4\ntower = [4]\n\
    [train]\nsolver = \"sgd\"\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 1.0\n\
    [cohort]\nquorum = 1\nattempts = 2\n[server]\noptimiser = \"plain\"\nlearning_rate = 1.0\n\
    [[shops]]\nname = \"north\"\ndeclared_users = 10\n";

/// A ledger that was charged for `kept` rounds, and what the coordinator has of `sent` rounds.
struct Case {
    ledger: Ledger<MemorySink>,
    told: Vec<ToldReceipt>,
    plans: HashMap<Digest, Plan>,
}

impl Case {
    fn new(kept: u64, sent: u64) -> Self {
        let (plan, shop) = (Plan::from_toml(PLAN).unwrap(), "north".parse().unwrap());
        let digest = plan.digest();
        let open = || Ledger::open(MemorySink::default(), b"", &shop, Timestamp(1)).unwrap();
        let (mut ledger, mut whole) = (open(), open());
        let mut told = Vec::new();
        for round in 1..=sent {
            let id = AttemptId { round, attempt: 1 };
            let spend = Spend::of_attempt(&plan, digest, id);
            let head = whole.charge(spend.clone(), Timestamp(1)).unwrap().head();
            if round <= kept {
                ledger.charge(spend, Timestamp(1)).unwrap();
            }
            told.push(ToldReceipt {
                receipt: receipt(id, head, 100 * round as i64),
                plan: digest,
                is_own: true,
            });
        }
        Self {
            ledger,
            told,
            plans: HashMap::from([(digest, plan)]),
        }
    }

    fn newest(&self) -> Receipt {
        let last = self.told.iter().max_by_key(|told| told.receipt.stored_at);
        last.unwrap().receipt.clone()
    }

    fn weigh(&self, trusted: bool) -> anyhow::Result<(Lost, Bill)> {
        weigh(
            self.ledger.chain(),
            &self.newest(),
            &self.told,
            &self.plans,
            trusted,
        )
    }

    fn refused(&self, trusted: bool) -> String {
        let error = self.weigh(trusted).unwrap_err();
        assert!(error.is::<CheckFailed>(), "{error}");
        error.to_string()
    }

    /// Charges; how many spends there are then.
    fn charge(&mut self) -> usize {
        let (lost, _) = self.weigh(false).unwrap();
        self.ledger.charge_lost(lost, Timestamp(2)).unwrap();
        self.ledger.chain().spends().count()
    }
}

fn receipt(id: AttemptId, ledger: LogHead, stored_at: i64) -> Receipt {
    Receipt {
        shop: "north".parse().unwrap(),
        upload: UploadHeader {
            id,
            update: Digest::of(&id.round.to_le_bytes()),
            len_bytes: 1,
            ledger_length: ledger.length,
            ledger_head: ledger.head,
        },
        stored_at: Timestamp(stored_at),
        log: ledger,
    }
}

#[test]
fn what_the_shop_has_signed_for_is_charged_and_one_more() {
    let mut case = Case::new(1, 4);
    let bill = case.weigh(false).unwrap().1;
    assert_eq!((bill.signed, bill.trusted, bill.unknown), (3, 0, 0));
    assert_eq!(case.charge(), 5);
    // Withheld receipts are charged by the lengths that the shop has signed.
    let mut case = Case::new(1, 4);
    case.told.remove(2);
    let bill = case.weigh(false).unwrap().1;
    assert_eq!((bill.signed, bill.unknown), (2, 1));
    assert_eq!(case.charge(), 5);
}

#[test]
fn what_only_the_coordinator_tells_of_is_not_charged_and_the_owner_hears_how_much_and_why() {
    let mut case = Case::new(1, 4);
    case.told[3].is_own = false;
    let said = case.refused(false);
    for words in [
        "of the 3 updates",
        ", 1 do not bear",
        "round 4 attempt 1",
        "--trust-coordinator",
        "nothing was charged",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let bill = case.weigh(true).unwrap().1;
    assert_eq!((bill.signed, bill.trusted, bill.unknown), (2, 1, 0));
    // One that the ledger accounts for costs nothing, signed or not.
    let mut case = Case::new(1, 4);
    case.told[0].is_own = false;
    assert_eq!(case.weigh(false).unwrap().1.signed, 3);
}

#[test]
fn a_coordinator_that_is_trusted_charges_for_no_more_than_its_plans_can_have() {
    let mut case = Case::new(1, 2);
    let plan = case.told[0].plan;
    let many = |round: u64, attempt: u32, length: u64| ToldReceipt {
        receipt: receipt(
            AttemptId { round, attempt },
            LogHead {
                length,
                head: Digest::of(&[round as u8, attempt as u8]),
            },
            10_000 + length as i64,
        ),
        plan,
        is_own: false,
    };
    // Four rounds of two attempts each.
    for (round, attempt, length) in [
        (2, 2, 4),
        (3, 1, 5),
        (3, 2, 6),
        (4, 1, 7),
        (4, 2, 8),
        (4, 3, 9),
        (4, 4, 10),
    ] {
        case.told.push(many(round, attempt, length));
    }
    assert_eq!(case.weigh(true).unwrap().1.trusted, 7);
    case.told.push(many(4, 5, 11));
    assert!(case.refused(true).contains("9 spends"), "{}", case.refused(true));
    case.told.pop();
    // A length out of the air would be charged record by record.
    case.told.push(many(4, 5, 1 << 50));
    assert!(case.refused(true).contains("8 attempts in all"));
    case.told.pop();
    case.told.push(many(5, 1, 11));
    assert!(case.refused(true).contains("round 5 attempt 1"));
}

#[test]
fn the_same_words_under_new_dates_are_charged_once() {
    let mut case = Case::new(1, 4);
    assert_eq!(case.charge(), 5);
    for year in 1..4 {
        for told in &mut case.told {
            told.receipt.stored_at.0 += year * 1_000_000;
        }
        let bill = case.weigh(false).unwrap().1;
        assert_eq!((bill.signed, bill.unknown, bill.charged_before), (0, 0, 3));
        assert!(bill.to_string().ends_with("and nothing else"), "{bill}");
        assert_eq!(case.charge(), 5, "nothing again");
        assert!(
            case.ledger
                .chain()
                .must_account_for(&case.newest().witnessed())
                .is_ok()
        );
    }
    // Twice in one answer is once.
    let mut case = Case::new(1, 4);
    let mut twice = case.told[3].clone();
    twice.receipt.stored_at.0 += 1;
    case.told.push(twice);
    assert_eq!(case.charge(), 5);
}

#[test]
fn a_receipt_that_is_told_of_and_not_shown_is_charged_for_by_nothing() {
    let case = Case::new(1, 4);
    let mut other = case.newest();
    other.upload.ledger_length = 1 << 40;
    let error = weigh(case.ledger.chain(), &other, &case.told, &case.plans, false).unwrap_err();
    assert!(error.to_string().contains("does not show"), "{error}");
}

#[test]
fn a_release_that_is_recovered_is_charged_all_that_the_ones_before_leave() {
    let text = "name = 'r'\n[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = 1\n\
        [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
        [[shops]]\nname = 'north'\ndeclared_users = 10\n";
    let plan = Plan::from_toml(text).unwrap();
    let budget = 0.6f64.powi(-2);
    let square = |plan: &Plan| plan.privacy.noise_multiplier.unwrap().get().powi(-2) / budget;
    let first = at_worst(&plan, 1, &[]);
    assert!((square(&first) - 0.4).abs() < 1e-9);
    let noise = first.privacy.noise_multiplier.unwrap();
    assert!((square(&at_worst(&plan, 2, &[noise])) - 0.6).abs() < 1e-9);
    // A shop that came late may have been told that nothing was charged before, and one whose attempt failed charges again.
    assert!((square(&at_worst(&plan, 2, &[])) - 1.0).abs() < 1e-9);
    let all = at_worst(&plan, 2, &[]).privacy.noise_multiplier.unwrap();
    assert!((square(&at_worst(&plan, 2, &[all])) - 1.0).abs() < 1e-9);
}
