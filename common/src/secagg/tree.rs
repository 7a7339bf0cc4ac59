//! A tree of hashes over the shares that a shop made (Merkle 1987): its root is signed once, and each holder checks its own
//! leaf with the few digests beside the way up. A node without a neighbour moves up as it is.

use crate::ids::Digest;

/// All levels, the leaves first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree(Vec<Vec<Digest>>);

impl Tree {
    /// Over leaves in their order.
    pub fn over(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                other => other[0],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self(levels)
    }

    /// The root; [`Digest::ZERO`] over no leaves.
    pub fn root(&self) -> Digest {
        let top = self.0.last().and_then(|level| level.first());
        top.copied().unwrap_or(Digest::ZERO)
    }

    /// What stands beside the way from a leaf up to the root.
    pub fn path(&self, leaf: usize) -> Vec<Digest> {
        let beside = |(height, level): (usize, &Vec<Digest>)| level.get((leaf >> height) ^ 1).copied();
        self.0.iter().enumerate().filter_map(beside).collect()
    }
}

/// The root above a leaf of `leaves`; none if the path has not the length that it should.
pub fn root_above(leaf: Digest, at: usize, leaves: usize, path: &[Digest]) -> Option<Digest> {
    let (mut digest, mut at, mut width, mut path) = (leaf, at, leaves, path.iter());
    if at >= width {
        return None;
    }
    while width > 1 {
        if (at ^ 1) < width {
            let beside = path.next()?;
            digest = match at & 1 {
                0 => node(&digest, beside),
                _ => node(beside, &digest),
            };
        }
        (at, width) = (at / 2, width.div_ceil(2));
    }
    path.next().is_none().then_some(digest)
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("souk 2026 masking share node v1");
    hasher.update(&left.0).update(&right.0);
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_finds_its_root_and_nothing_else_does() {
        for count in 1..=70usize {
            let leaves: Vec<Digest> = (0..count).map(|at| Digest::of(&at.to_le_bytes())).collect();
            let tree = Tree::over(leaves.clone());
            for (at, leaf) in leaves.iter().enumerate() {
                let path = tree.path(at);
                assert_eq!(root_above(*leaf, at, count, &path), Some(tree.root()));
                assert_ne!(root_above(Digest::ZERO, at, count, &path), Some(tree.root()));
                assert_ne!(
                    root_above(*leaf, (at + 1) % count.max(2), count, &path),
                    Some(tree.root())
                );
                let longer = [path.as_slice(), &[Digest::ZERO]].concat();
                assert_eq!(root_above(*leaf, at, count, &longer), None);
            }
        }
        assert_eq!(Tree::over(Vec::new()).root(), Digest::ZERO);
        assert_eq!(root_above(Digest::ZERO, 0, 0, &[]), None);
    }
}
