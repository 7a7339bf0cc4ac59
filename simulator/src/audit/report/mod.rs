//! The report: findings as HTML and JSON, signed.
//!
//! | module | what |
//! |---|---|
//! | [`model`] | everything that a report says, as data |
//! | [`gather`] | a report from what was audited and found |
//! | [`front`], [`observers`], [`risks`] | the page in front; who sees what; what remains |
//! | [`utility`] | what the plan's noise costs, and whom |
//! | [`html`] | the page: its frame and its first page |
//! | [`sections`], [`findings`] | what stands behind it; of that, what was found |
//! | [`parts`], [`pictures`], [`show`], [`words`] | tables and fields; inline SVG; figures as text; texts that never change |
//! | [`sign`], [`write`] | the signed text in both files; files, key, program and machine |
//! | [`verify`] | whether a report is as it was signed |
//! | [`registry`] | an entry for the public registry of deployments |
//! | [`schema`] | the JSON Schema of OUT.json |

mod findings;
mod front;
mod gather;
mod html;
pub(crate) mod model;
mod observers;
mod parts;
mod pictures;
mod registry;
mod risks;
pub(crate) mod schema;
mod sections;
mod show;
mod sign;
pub(crate) mod utility;
pub(crate) mod verify;
mod words;
pub(crate) mod write;

#[cfg(test)]
mod tests;
