//! The JSON Schema of OUT.json, which stands in docs/schema/audit-report-1.json. Keys may be added within a format, so what is not
//! described is not refused.

use serde_json::{Map, Value, json};

use super::model::FORMAT;

/// The schema.
pub(crate) fn schema() -> Value {
    let mut schema = object(&[("signature", signature()), ("report", report())]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Report of souk-sim audit, format 1");
    schema
}

/// All of the keys must be there.
fn object(keys: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|(name, of)| ((*name).to_owned(), of.clone()))
        .collect();
    let required: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn number() -> Value {
    json!({"type": "number"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn share() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 1})
}

fn yes() -> Value {
    json!({"type": "boolean"})
}

fn hex(digits: u32) -> Value {
    json!({"type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$")})
}

fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

fn map(of: Value) -> Value {
    json!({"type": "object", "additionalProperties": of})
}

fn maybe(of: Value) -> Value {
    json!({"anyOf": [of, {"type": "null"}]})
}

fn one_of(values: &[&str]) -> Value {
    json!({"enum": values})
}

fn signature() -> Value {
    let body = object(&[
        ("format", json!({"const": FORMAT})),
        ("public_key", hex(64)),
        ("page", hex(64)),
        ("lines", map(hex(64))),
    ]);
    object(&[("body", body), ("signature", hex(128))])
}

fn report() -> Value {
    object(&[
        ("format", json!({"const": FORMAT})),
        ("front", front()),
        ("subject", subject()),
        ("plan", json!({"type": "object"})),
        ("privacy", maybe(privacy())),
        ("mechanism", mechanism()),
        (
            "observers",
            list(object(&[
                ("who", text()),
                ("sees", text()),
                ("does_not_learn", text()),
                ("rests_on", text()),
            ])),
        ),
        ("findings", findings()),
        (
            "risks",
            list(object(&[
                ("risk", text()),
                ("source", text()),
                ("assessment", text()),
                ("measure", text()),
            ])),
        ),
        ("provenance", provenance()),
    ])
}

fn front() -> Value {
    let light = one_of(&["green", "amber", "red"]);
    object(&[
        ("light", light.clone()),
        ("verdict", text()),
        (
            "lines",
            list(object(&[("light", light), ("asked", text()), ("says", text())])),
        ),
        ("to_do", list(text())),
    ])
}

fn subject() -> Value {
    object(&[
        ("plan", text()),
        ("task", one_of(&["product", "content", "rating", "ads"])),
        ("data_set", text()),
        ("customers", count()),
        ("items", count()),
        ("interactions", count()),
        (
            "shops",
            list(object(&[("name", text()), ("declared_users", count())])),
        ),
        ("rounds", count()),
        ("effort", one_of(&["short", "full"])),
    ])
}

fn privacy() -> Value {
    let phase = object(&[
        ("name", text()),
        ("rounds", count()),
        ("share", maybe(share())),
        ("noise_multiplier", number()),
        ("epsilon_of_one", maybe(number())),
        ("epsilon", maybe(number())),
    ]);
    let failure = object(&[
        ("failures", count()),
        ("epsilon", number()),
        ("noise_multipliers", list(number())),
    ]);
    object(&[
        ("unit", text()),
        ("relation", text()),
        ("delta", share()),
        ("epsilon", maybe(number())),
        ("most_certainty", share()),
        ("sampling_rate", share()),
        ("epsilon_without_sampling", maybe(number())),
        ("composition", text()),
        ("epsilon_readers", maybe(number())),
        ("epsilon_if_alone", maybe(number())),
        ("phases", list(phase)),
        ("failures", list(failure)),
        ("epsilon_with_another", maybe(number())),
        ("per_year", map(number())),
    ])
}

fn mechanism() -> Value {
    object(&[
        ("name", maybe(text())),
        ("sampler", maybe(text())),
        ("clip_norm", number()),
        ("sensitivity", text()),
        ("modulus_bits", count()),
        ("placement", text()),
        ("least_shops", maybe(count())),
        ("colluding", maybe(count())),
        ("upload_after_seconds", maybe(number())),
    ])
}

fn findings() -> Value {
    let check = object(&[("name", text()), ("ok", yes()), ("detail", text())]);
    let bound = object(&[
        ("of", text()),
        ("procedure", text()),
        ("canary", text()),
        ("trials", count()),
        ("lower", number()),
        ("confidence", maybe(share())),
        ("upper", maybe(number())),
        ("delta", share()),
        ("ok", yes()),
    ]);
    let row = object(&[
        (
            "protections",
            one_of(&["plan", "no_noise", "no_masks", "no_clip", "none"]),
        ),
        ("success", number()),
        ("low", number()),
        ("high", number()),
        ("chance", number()),
        ("allowed", maybe(number())),
        ("trials", count()),
        ("ok", maybe(yes())),
        ("note", text()),
    ]);
    let attack = object(&[
        ("attack", text()),
        ("wants", text()),
        ("sees", text()),
        ("source", text()),
        ("measure", text()),
        ("in_scope", yes()),
        ("rows", list(row)),
        ("not_run", maybe(text())),
    ]);
    let poisoning = object(&[
        ("attack", text()),
        ("power", text()),
        ("rule", text()),
        ("fakes", count()),
        ("exposure_before", share()),
        ("exposure_after", share()),
        ("low", number()),
        ("high", number()),
        ("targets", count()),
    ]);
    let mutation = object(&[
        ("mutation", text()),
        ("what", text()),
        ("flagged", yes()),
        ("by", text()),
        ("significance", share()),
    ]);
    let utility = object(&[
        ("ranked_by", text()),
        ("parted_by", text()),
        ("part", text()),
        ("customers", count()),
        ("with_plan", share()),
        ("without_noise", maybe(share())),
        ("lost", maybe(number())),
        ("standard_error", maybe(number())),
    ]);
    object(&[
        ("mechanism", list(check.clone())),
        ("bounds", list(bound)),
        ("attacks", list(attack)),
        ("poisoning", list(poisoning)),
        ("mutations", list(mutation)),
        ("utility", list(utility)),
        ("side_channels", list(check)),
        ("not_tested", list(text())),
    ])
}

fn provenance() -> Value {
    let record = object(&[
        ("head", text()),
        ("entries", count()),
        ("failed_attempts", count()),
        ("wrong", count()),
    ]);
    object(&[
        ("command", text()),
        ("seeds", list(count())),
        ("version", text()),
        ("build", text()),
        ("data", text()),
        ("plan", text()),
        ("record", maybe(record)),
        ("started", text()),
        ("finished", text()),
        ("trials", count()),
        ("machine", map(text())),
    ])
}
