//! Threads on which the operating system's entropy is a seed's.
//!
//! The production code takes secrets from the operating system and from nowhere else: `souk_common::rng::Secret` can't be
//! seeded, and that stays so. A storm that can be blown again needs the same noise and the same keys, so this program, and
//! no other, stands in front of the operating system: it has a function of its own by the name of `getrandom`, which all
//! libraries call (`build.rs` lets them find it). It asks the kernel, as the C library's would, except on threads that
//! [`of_seed`] started.

// A function of the C library is replaced, whose arguments are a pointer and a length.
#![allow(unsafe_code)]

use std::cell::RefCell;

use souk_common::rng::{Stream, secret_bytes, stream};

thread_local! {
    static SEEDED: RefCell<Option<Stream>> = const { RefCell::new(None) };
}

/// What `work` comes to on a thread of its own, on which all entropy is of `seed`. What it shares out among threads (rayon)
/// stays on that one too, so that nothing is drawn elsewhere.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn of_seed<T: Send>(seed: u64, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "federation".to_owned())
        .build()?;
    Ok(alone.install(|| {
        SEEDED.set(Some(stream(seed, "entropy")));
        work()
    }))
}

/// Whether a seed decides entropy on such threads here: not where another linker, or another system, does not let the
/// libraries find ours.
///
/// # Errors
/// As [`of_seed`].
pub(crate) fn is_decided() -> anyhow::Result<bool> {
    let [first, second, other] = [1, 1, 2].map(|seed| of_seed(seed, || secret_bytes::<16>().ok()));
    let (first, second, other) = (first?, second?, other?);
    Ok(first.is_some() && first == second && first != other)
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{c_uint, c_void};

    use rand::Rng;

    use super::SEEDED;

    /// In place of the C library's function of this name (getrandom(2)).
    ///
    /// # Safety
    /// `buffer` has room for `length` bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getrandom(
        buffer: *mut c_void,
        length: libc::size_t,
        flags: c_uint,
    ) -> libc::ssize_t {
        let seeded = SEEDED.try_with(|seeded| {
            let Ok(mut seeded) = seeded.try_borrow_mut() else {
                return false;
            };
            let Some(stream) = &mut *seeded else {
                return false;
            };
            for at in 0..length {
                let [byte, ..] = stream.next_u32().to_le_bytes();
                // SAFETY: `at` is less than `length`.
                unsafe { buffer.cast::<u8>().add(at).write(byte) };
            }
            true
        });
        match seeded {
            Ok(true) => length.cast_signed(),
            // SAFETY: these are this function's own arguments, and what it answers is its answer.
            _ => unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as libc::ssize_t },
        }
    }
}
