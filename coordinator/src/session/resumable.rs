//! What came of an upload whose connection broke, so that the rest need not begin anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use souk_common::ids::{AttemptId, ShopName};
use souk_common::round::statements::UploadHeader;

use crate::engine::Staged;

/// One a shop, of the open attempt: what they take is bounded by the plan, in memory and in files alike. A restart
/// forgets them.
#[derive(Default)]
pub(crate) struct Partials {
    kept: Mutex<HashMap<ShopName, (UploadHeader, Staged)>>,
}

impl Partials {
    /// Keeps what came of `upload` while `open` is the open attempt; of two beginnings the longer.
    pub(crate) fn keep(
        &self,
        shop: &ShopName,
        upload: UploadHeader,
        open: Option<AttemptId>,
        staged: Staged,
    ) {
        if open != Some(upload.id) {
            return;
        }
        let mut all = self.all();
        let longer = |(kept, before): &(UploadHeader, Staged)| {
            *kept == upload && before.len_bytes() >= staged.len_bytes()
        };
        if !all.get(shop).is_some_and(longer) {
            all.insert(shop.clone(), (upload, staged));
        }
    }

    /// What came of this very upload before; of another one of the shop nothing is kept any longer.
    pub(crate) fn take(&self, shop: &ShopName, upload: &UploadHeader) -> Option<Staged> {
        let (kept, staged) = self.all().remove(shop)?;
        (kept == *upload).then_some(staged)
    }

    /// Forgets an attempt that has ended.
    pub(crate) fn end(&self, id: AttemptId) {
        self.all().retain(|_, (upload, _)| upload.id != id);
    }

    /// Forgets a shop.
    pub(crate) fn forget(&self, shop: &ShopName) {
        self.all().remove(shop);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ShopName, (UploadHeader, Staged)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use souk_common::ids::Digest;
    use souk_common::storage::blobs::FileBlobs;

    use super::*;
    use crate::engine::Staging;

    fn header(attempt: u32) -> UploadHeader {
        UploadHeader {
            id: AttemptId { round: 1, attempt },
            update: Digest::of(b"update"),
            len_bytes: 100,
            ledger_length: 1,
            ledger_head: Digest::ZERO,
        }
    }

    #[test]
    fn the_longest_beginning_of_the_open_attempt_is_kept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::new(150, Arc::new(FileBlobs::open(dir.path(), None).unwrap()));
        let begun = |bytes: usize| {
            let mut staged = staging.begin(100).unwrap();
            staged.push(&vec![0; bytes]).unwrap();
            staged
        };
        let (partials, shop): (Partials, ShopName) = (Partials::default(), "north".parse().unwrap());
        let open = Some(header(1).id);
        for bytes in [5, 9, 7] {
            partials.keep(&shop, header(1), open, begun(bytes));
        }
        assert_eq!(
            partials.take(&shop, &header(1)).map(|staged| staged.len_bytes()),
            Some(9)
        );
        assert!(partials.take(&shop, &header(1)).is_none(), "taken");
        partials.keep(&shop, header(1), Some(header(2).id), begun(5));
        assert!(partials.take(&shop, &header(1)).is_none(), "its attempt is over");
        partials.keep(&shop, header(1), open, begun(5));
        assert!(partials.take(&shop, &header(2)).is_none(), "another upload");
        assert!(partials.take(&shop, &header(1)).is_none(), "and so forgotten");
        for end in [&(|| partials.end(header(1).id)) as &dyn Fn(), &|| {
            partials.forget(&shop)
        }] {
            partials.keep(&shop, header(1), open, begun(5));
            end();
            assert!(partials.take(&shop, &header(1)).is_none());
        }
        assert_eq!(
            std::fs::read_dir(dir.path().join("tmp")).unwrap().count(),
            0,
            "files go with them"
        );
    }
}
