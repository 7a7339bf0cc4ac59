//! Answers go over the control socket as JSON: one that has none would look like a program that is not there.

use souk_common::ids::Digest;

use super::*;

#[test]
fn an_answer_about_the_next_round_comes_over_the_socket_with_a_plan_and_without() {
    let next = NextRound {
        plan: PlanName {
            name: "spring".into(),
            digest: Digest::ZERO,
        },
        round: 8,
        is_over: false,
        refusals: vec!["too little noise".into()],
    };
    for next in [None, Some(next)] {
        let answer = Answer::NextRound { next };
        let sent = serde_json::to_string(&answer).expect("it has a JSON form");
        assert_eq!(serde_json::from_str::<Answer>(&sent).unwrap(), answer, "{sent}");
    }
}
