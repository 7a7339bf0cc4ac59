//! What every backend promises. A new one gets a line in [`every_backend`].

use std::io;

use super::*;

/// Runs `check` over an empty set of blobs of each backend, in which at most so many bytes can be written.
fn every_backend(limit: Option<u64>, check: impl Fn(&dyn Blobs)) {
    let folder = tempfile::tempdir().unwrap();
    check(&FileBlobs::open(folder.path(), limit).unwrap());
    check(&MemoryBlobs::new(limit));
}

#[test]
fn a_blob_is_found_by_its_digest_until_it_is_removed() {
    every_backend(None, |blobs| {
        let missing = Digest::of(b"missing");
        assert_eq!(blobs.read(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(blobs.len_bytes(&missing).is_err() && !blobs.contains(&missing));
        let all: Vec<Vec<u8>> = [0, 1, 5000, 100_000].map(|length| vec![7; length]).into();
        for bytes in &all {
            let digest = blobs.put(bytes).unwrap();
            assert_eq!(digest, Digest::of(bytes));
            assert_eq!(blobs.put(bytes).unwrap(), digest, "once more is no other");
            assert_eq!(blobs.read(&digest).unwrap(), *bytes);
            assert_eq!(blobs.len_bytes(&digest).unwrap(), bytes.len() as u64);
        }
        let mut digests: Vec<Digest> = all.iter().map(|bytes| Digest::of(bytes)).collect();
        digests.sort_unstable();
        assert_eq!(blobs.all().unwrap(), digests);
        let mut open = blobs.open(&digests[0]).unwrap();
        blobs.remove(&digests[0]).unwrap();
        blobs.remove_for_good(&digests[1]).unwrap();
        for gone in &digests[..2] {
            assert!(!blobs.contains(gone) && blobs.read(gone).is_err());
            blobs.remove(gone).unwrap();
            blobs.remove_for_good(gone).unwrap();
        }
        let mut bytes = Vec::new();
        open.read_to_end(&mut bytes).unwrap();
        assert_eq!(
            Digest::of(&bytes),
            digests[0],
            "who has it open reads it to its end"
        );
        assert_eq!(blobs.all().unwrap(), digests[2..]);
    });
}

#[test]
fn a_range_is_what_the_whole_has_there() {
    every_backend(None, |blobs| {
        for length in [0, 1, 10, 70_000] {
            let whole: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
            let digest = blobs.put(&whole).unwrap();
            let edges = [0, 1, 9, 10, 11, 65_535, 65_536, 69_999, 70_000, 70_001, u64::MAX];
            for from in edges {
                for most in edges {
                    let rest = usize::try_from(from).ok().and_then(|from| whole.get(from..));
                    let rest = rest.unwrap_or_default();
                    let expected = &rest[..rest.len().min(usize::try_from(most).unwrap())];
                    let read = blobs.read_range(&digest, from, most).unwrap();
                    assert!(read == expected, "{most} bytes from {from} of {length}");
                }
            }
        }
        assert!(blobs.read_range(&Digest::of(b"missing"), 0, 1).is_err());
    });
}

#[test]
fn a_blob_is_there_when_it_is_finished_and_not_before() {
    every_backend(None, |blobs| {
        for durable in [true, false] {
            let mut writer = blobs.writer().unwrap();
            let mut other = blobs.writer().unwrap();
            other.write_all(b"given up").unwrap();
            for piece in [&b"so"[..], b"", b"uk"] {
                writer.write_all(piece).unwrap();
                assert_eq!(blobs.all().unwrap(), []);
            }
            assert_eq!(writer.digest(), Digest::of(b"souk"));
            drop(other);
            let digest = writer.finish(durable).unwrap();
            assert_eq!(blobs.all().unwrap(), [digest]);
            assert_eq!(blobs.read(&digest).unwrap(), b"souk");
            blobs.remove(&digest).unwrap();
        }
    });
}

#[test]
fn no_room_is_an_error_and_what_was_there_stays() {
    every_backend(Some(6), |blobs| {
        let kept = blobs.put(b"souk").unwrap();
        let full = blobs.put(b"souk2").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(blobs.all().unwrap(), [kept]);
        assert_eq!(blobs.read(&kept).unwrap(), b"souk");
        blobs.put(b"so").unwrap();
    });
}

#[test]
fn a_copy_in_a_folder_has_all_and_a_single_one_is_a_file() {
    every_backend(None, |blobs| {
        let digests = [b"a", b"b"].map(|bytes| blobs.put(bytes).unwrap());
        let folder = tempfile::tempdir().unwrap();
        blobs.copy_all(&folder.path().join("copy")).unwrap();
        let copy = FileBlobs::to_read(&folder.path().join("copy"));
        assert_eq!(copy.all().unwrap(), blobs.all().unwrap());
        assert_eq!(copy.read(&digests[1]).unwrap(), b"b");
        for (digest, bytes) in digests.iter().zip([b"a", b"b"]) {
            let file = blobs.as_file(digest, &folder.path().join("one")).unwrap();
            assert_eq!(std::fs::read(file).unwrap(), bytes);
        }
    });
}
