//! That it is as bad as it says, and no worse.

use super::*;
use souk_common::storage::disk::write_whole;

fn contents(disk: &FakeDisk, path: &str) -> Option<Vec<u8>> {
    disk.read(Path::new(path)).ok()
}

#[test]
fn what_was_synchronised_stays_and_the_rest_is_kept_lost_or_torn() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = FakeDisk::new(seed, "test");
        let path = Path::new("/d/a");
        write_whole(&disk, path, b"kept", false).unwrap();
        let mut file = disk.open(path, Access::Append).unwrap();
        file.write_all(b"-more").unwrap();
        drop(file);
        disk.restart(Stop::PowerCut);
        let found = contents(&disk, "/d/a").unwrap();
        assert!(found.starts_with(b"kept") && b"kept-more".starts_with(&found));
        seen.insert(found);
    }
    assert!(seen.contains(&b"kept"[..]) && seen.contains(&b"kept-more"[..]) && seen.len() > 3);
}

#[test]
fn a_kill_loses_nothing_and_a_later_power_cut_may() {
    let disk = FakeDisk::new(1, "test");
    disk.open(Path::new("/d/a"), Access::Write)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    disk.restart(Stop::Kill);
    assert_eq!(contents(&disk, "/d/a").unwrap(), b"x");
    let lost = (0..50).any(|seed| {
        let disk = FakeDisk::new(seed, "test");
        disk.open(Path::new("/d/a"), Access::Write).unwrap();
        disk.restart(Stop::PowerCut);
        contents(&disk, "/d/a").is_none()
    });
    assert!(lost, "a name that was not synchronised can be gone");
}

#[test]
fn it_stops_at_the_write_it_was_told_and_old_handles_are_dead() {
    let disk = FakeDisk::new(3, "test");
    let mut file = disk.open(Path::new("/d/a"), Access::Write).unwrap();
    disk.stop_after(1);
    file.write_all(b"1").unwrap();
    assert!(file.write_all(b"22222222").is_err() && disk.is_off());
    assert!(file.read(&mut [0]).is_err());
    disk.restart(Stop::Kill);
    assert!(file.write_all(b"3").is_err(), "of the process before");
    let found = contents(&disk, "/d/a").unwrap();
    assert!(found.starts_with(b"1") && b"122222222".starts_with(&found));
    disk.fail_after(0, io::ErrorKind::StorageFull);
    let full = write_whole(&disk, Path::new("/d/b"), b"b", false).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    write_whole(&disk, Path::new("/d/b"), b"b", false).unwrap();
}
