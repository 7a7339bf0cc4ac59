//! Every blob has the bytes that its name says, whether or not a round needs it.

use super::report::Check;
use crate::store::{FOLDERS, Store, StoreError};

/// All of `files/` and `private/`.
pub(super) fn check(store: &Store) -> Result<Check, StoreError> {
    let mut check = Check::new(NAME);
    for (blobs, folder) in [store.files(), store.private()].into_iter().zip(FOLDERS) {
        for digest in blobs.all()? {
            let read = blobs.read(&digest);
            check.note(read.is_ok(), || {
                let error = read.err().map(|error| error.to_string()).unwrap_or_default();
                let name = digest.to_string();
                format!("{folder}/{}/{name}: {error}", &name[..2])
            });
        }
    }
    Ok(check)
}

const NAME: &str = "every file in files/ and private/ has the bytes that its name says";
