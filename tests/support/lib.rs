//! What the tests across programs share.
