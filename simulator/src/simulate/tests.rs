//! Lines and pictures.

use super::compare::Mean;
use super::table::{TableFile, to_json_lines};
use crate::world::rounds::RoundLine;

/// A line of a round that went well.
pub(super) fn a_line(round: u64) -> RoundLine {
    RoundLine {
        round,
        attempt: 1,
        published: true,
        why: None,
        cohort: 5,
        declined: 0,
        accepted: 4,
        dropped: 1,
        late: 0,
        bytes_up: 4000,
        bytes_down: 5000,
        virtual_seconds: 1.5 * round as f64,
        epsilon: Some(0.25),
        hit_rate_full: None,
        ndcg_full: None,
        hit_rate_leak_free: None,
        ndcg_leak_free: None,
    }
}

#[test]
fn lines_are_json_objects_one_a_line_and_come_back() {
    let lines = [a_line(1), a_line(2)];
    let text = to_json_lines(&lines).unwrap();
    let read: Vec<RoundLine> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, lines);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_without_the_feature_is_refused_with_how_to_get_it() {
    let error = TableFile::new("rounds.parquet".into()).err().unwrap().to_string();
    assert!(
        error.contains("--features parquet") && error.contains(".jsonl"),
        "{error}"
    );
    assert!(TableFile::new("rounds.jsonl".into()).is_ok());
}

#[test]
fn an_error_takes_two_seeds() {
    assert_eq!(Mean::of(&[]), None);
    assert_eq!(Mean::of(&[0.5]).unwrap().standard_error, None);
    let of_two = Mean::of(&[0.25, 0.75]).unwrap();
    assert!((of_two.mean - 0.5).abs() < 1e-12 && (of_two.standard_error.unwrap() - 0.25).abs() < 1e-12);
}
