//! Room on the disk for what the shop's folder needs next.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::folder::Folder;

/// Whether there is room: for the store of interactions and the database written anew beside what is there, and one more model.
pub(crate) fn room(folder: &Folder) -> Finding {
    match rustix::fs::statvfs(folder.path()) {
        Ok(disk) => judge(disk.f_bavail.saturating_mul(disk.f_frsize), needed(folder)),
        Err(error) => Finding::warning(format!(
            "how much room {} has can't be told: {error}",
            folder.path().display()
        )),
    }
}

fn judge(free: u64, needed: u64) -> Finding {
    let (free_mb, needed_mb) = (free / MB, needed.div_ceil(MB));
    match free < needed {
        true => Finding::warning(format!(
            "{free_mb} MB are free and {needed_mb} MB are needed next (the store of interactions and the database written anew, one \
             more model): make room, or move the folder to a larger disk while `run` is stopped"
        )),
        false => Finding::good(format!("{free_mb} MB are free, {needed_mb} MB are needed next")),
    }
}

/// Bytes that the folder grows by, at its worst, before it shrinks again.
fn needed(folder: &Folder) -> u64 {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let sizes = |name: &str| {
        let files = fs::read_dir(folder.path().join(name))
            .into_iter()
            .flatten()
            .flatten();
        files.map(|file| size(&file.path())).collect::<Vec<u64>>()
    };
    let store: u64 = sizes("interactions").iter().sum();
    let model = sizes("models").into_iter().max().unwrap_or(0);
    store + size(&folder.store()) + model + ALWAYS
}

const MB: u64 = 1_000_000;
/// A day's events, an update, logs.
const ALWAYS: u64 = 64 * MB;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthLevel;

    #[test]
    fn what_is_needed_is_the_store_and_the_database_again_and_one_more_model() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert_eq!(needed(&folder), ALWAYS);
        let write = |path: &str, bytes: usize| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; bytes]).unwrap();
        };
        write("interactions/a.seg", 1000);
        write("interactions/b.seg", 200);
        write("models/a.safetensors", 70);
        write("models/b.safetensors", 30);
        write("shop.redb", 5000);
        assert_eq!(needed(&folder), ALWAYS + 1000 + 200 + 70 + 5000);
        assert_eq!(
            room(&Folder::new(dir.path().join("none"))).level,
            HealthLevel::Warning
        );
    }

    #[test]
    fn too_little_room_is_warned_of_with_what_is_needed() {
        assert_eq!(judge(64 * MB, 64 * MB).level, HealthLevel::Good);
        let little = judge(64 * MB - 1, 64 * MB);
        assert_eq!(little.level, HealthLevel::Warning);
        assert!(
            little.text.contains("63 MB are free and 64 MB are needed"),
            "{}",
            little.text
        );
    }
}
