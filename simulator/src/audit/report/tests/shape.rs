//! OUT.json is as its schema says.

use std::fs;

use serde_json::Value;

use super::super::schema::schema;
use super::super::write::signed;
use super::*;

/// The keywords that the schema uses, and no others; a key that it does not describe is a fault here.
fn faults(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let mut fault = |what: String| found.push(format!("{place}: {what}"));
    let kind = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    for (keyword, wanted) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "type" if !kind(wanted.as_str().unwrap()) => fault(format!("{value} is no {wanted}")),
            "const" if wanted != value => fault(format!("{value} is not {wanted}")),
            "enum" if !wanted.as_array().unwrap().contains(value) => {
                fault(format!("{value} is none of {wanted}"))
            }
            "minimum" if value.as_f64() < wanted.as_f64() => fault(format!("{value} is below {wanted}")),
            "maximum" if value.as_f64() > wanted.as_f64() => fault(format!("{value} is above {wanted}")),
            "pattern" => {
                let digits: usize = wanted
                    .as_str()
                    .unwrap()
                    .trim_matches(|c: char| !c.is_ascii_digit())
                    .rsplit('{')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                let text = value.as_str().unwrap_or_default();
                if text.len() != digits
                    || !text
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                {
                    fault(format!("{value} is not {wanted}"));
                }
            }
            "required" => {
                for key in wanted.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        fault(format!("{key} is missing"));
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(either) = schema.get("anyOf").and_then(Value::as_array) {
        let fits = |schema: &Value| {
            let mut found = Vec::new();
            faults(schema, value, place, &mut found);
            found
        };
        let all: Vec<Vec<String>> = either.iter().map(fits).collect();
        if all.iter().all(|found| !found.is_empty()) {
            found.extend(all.into_iter().next().unwrap());
        }
    }
    for (key, part) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{key}");
        match schema
            .pointer(&format!("/properties/{key}"))
            .or_else(|| schema.get("additionalProperties"))
        {
            Some(schema) => faults(schema, part, &place, found),
            None if schema.get("properties").is_some() => found.push(format!("{place} is not described")),
            None => {}
        }
    }
    if let Some(items) = schema.get("items") {
        for part in value.as_array().into_iter().flatten() {
            faults(items, part, &format!("{place}[]"), found);
        }
    }
}

fn of(report: &Report) -> Vec<String> {
    let (_, json) = signed(report, &key()).unwrap();
    let mut found = Vec::new();
    faults(&schema(), &serde_json::from_str(&json).unwrap(), "", &mut found);
    found
}

#[test]
fn reports_are_as_the_schema_says_and_every_key_is_described() {
    assert_eq!(of(&report()), Vec::<String>::new());
    let open = Report::new(&subject(&open_plan()), AuditFindings::default(), provenance()).unwrap();
    assert_eq!(of(&open), Vec::<String>::new());
}

#[test]
fn what_is_not_as_the_schema_says_is_found() {
    let mut report = report();
    report.findings.utility[0].with_plan = 1.5;
    let found = of(&report);
    assert!(
        found.len() == 1 && found[0].contains(".report.findings.utility[].with_plan"),
        "{found:?}"
    );
    let mut without = serde_json::to_value(&report).unwrap();
    without["front"].as_object_mut().unwrap().remove("verdict");
    let mut found = Vec::new();
    faults(&schema()["properties"]["report"], &without, "", &mut found);
    assert!(
        found.iter().any(|fault| fault.contains("\"verdict\" is missing")),
        "{found:?}"
    );
}

/// With SOUK_WRITE_SCHEMA set it writes the file instead.
#[test]
fn the_schema_in_the_docs_is_the_programs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/audit-report-1.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("SOUK_WRITE_SCHEMA").is_some() {
        fs::write(path, &text).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        text,
        "docs/schema/audit-report-1.json: run this test with SOUK_WRITE_SCHEMA=1"
    );
}
