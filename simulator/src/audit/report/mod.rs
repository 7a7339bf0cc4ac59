//! The report: findings as HTML and JSON, signed.
