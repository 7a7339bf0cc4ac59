//! One flipped bit anywhere.
