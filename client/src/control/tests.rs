//! Answers go over the control socket as JSON: one that has none would look like a program that is not there.

use souk_common::ids::Digest;

use super::*;
use crate::erasure::traces::SourceTrace;
use souk_common::clock::Timestamp;

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

#[test]
fn questions_and_answers_about_a_customer_come_over_the_socket() {
    let customer = || "anna@example.com".to_owned();
    for question in [
        CustomerQuestion::Traces { customer: customer() },
        CustomerQuestion::Forget {
            customer: customer(),
            anyway: true,
        },
        CustomerQuestion::Readmit { customer: customer() },
    ] {
        let question = Question::Customer(question);
        let sent = serde_json::to_string(&question).expect("it has a JSON form");
        assert_eq!(
            serde_json::from_str::<Question>(&sent).unwrap(),
            question,
            "{sent}"
        );
    }
    let traces = Traces {
        customer: customer(),
        interactions: vec![SourceTrace {
            source: "orders.csv".to_owned(),
            rows: 3,
        }],
        live_events: Some(2),
        forgotten: Some(Timestamp(1)),
        ..Traces::default()
    };
    let report = ForgetReport {
        traces: traces.clone(),
        since: Timestamp(1),
        digests_of_orders: traces.interactions.clone(),
        remains_until_restart: true,
        troubles: vec!["no lists".to_owned()],
    };
    for answer in [
        Answer::Traces(traces),
        Answer::Forgotten(Box::new(report)),
        Answer::Readmitted {
            by_hand: vec!["given.csv".to_owned()],
        },
    ] {
        let sent = serde_json::to_string(&answer).expect("it has a JSON form");
        assert_eq!(serde_json::from_str::<Answer>(&sent).unwrap(), answer, "{sent}");
    }
}
