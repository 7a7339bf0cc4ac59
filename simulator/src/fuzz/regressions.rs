//! Inputs that once made a decoder panic or take far more memory than the input has, and the classic ones of that kind.

/// Decoder, input as hexadecimal digits, and what it is.
pub const REGRESSIONS: &[(&str, &str, &str)] = &[
    (
        "frame_request",
        "534f554b0100011c00000000000000070707070707070707070707070707070000000000000010",
        "a join whose signing request claims 2^60 bytes",
    ),
    (
        "frame_request",
        "534f554b010001ffffffff",
        "a frame that claims 4 GiB and ends",
    ),
    (
        "frame_reply",
        "534f554b0100020c00000008000000ffffffff00000000",
        "a list of 2^32 members in twelve bytes",
    ),
    ("model_file", "ffffffffffffffff7b7d", "a header of 2^64 - 1 bytes"),
    (
        "catalogue",
        "7b226964223a2261222c227072696365223a31653939397d0a",
        "a price beyond every number",
    ),
];
