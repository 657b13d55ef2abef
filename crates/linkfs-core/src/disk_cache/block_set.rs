/// Which blocks of a file are there: one bit each.
#[derive(Debug)]
pub(super) struct BlockSet {
    words: Vec<u64>,
    blocks: u64,
    count: u64,
}

impl BlockSet {
    /// A set that can hold so many blocks, with none in it.
    pub(super) fn empty(blocks: u64) -> BlockSet {
        BlockSet {
            words: vec![0; blocks.div_ceil(64) as usize],
            blocks,
            count: 0,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn contains(&self, block: u64) -> bool {
        block < self.blocks && self.words[(block / 64) as usize] & (1 << (block % 64)) != 0
    }

    /// Puts a block in or takes it out; one behind the end of the file is never in.
    pub(super) fn set(&mut self, block: u64, is_there: bool) {
        if block >= self.blocks || self.contains(block) == is_there {
            return;
        }
        self.words[(block / 64) as usize] ^= 1 << (block % 64);
        self.count = match is_there {
            true => self.count + 1,
            false => self.count - 1,
        };
    }

    pub(super) fn first_missing(&self) -> Option<u64> {
        let word = self.words.iter().position(|word| *word != u64::MAX)?;
        let block = word as u64 * 64 + u64::from(self.words[word].trailing_ones());
        (block < self.blocks).then_some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_once() {
        let mut set = BlockSet::empty(65);
        for block in [0, 64, 64, 65, u64::MAX] {
            set.set(block, true);
        }
        assert_eq!(
            (set.count(), set.contains(64), set.contains(65)),
            (2, true, false)
        );
        set.set(64, false);
        set.set(64, false);
        assert_eq!((set.count(), set.contains(64)), (1, false));
    }

    #[test]
    fn the_first_missing_block_is_found() {
        for blocks in [0, 1, 63, 64, 65, 128, 130] {
            let mut set = BlockSet::empty(blocks);
            for block in 0..blocks {
                assert_eq!(set.first_missing(), Some(block));
                set.set(block, true);
            }
            assert_eq!(set.first_missing(), None, "{blocks} blocks");
        }
    }
}
