//! Whether a folder's files are read one after the other, in the order of its listing: plain arithmetic.

/// So many steps forward show it: nobody takes four files in order by chance.
const STEPS: u32 = 3;

/// How readers go through a folder.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The position of the file that was taken last.
    last: Option<usize>,
    steps: u32,
    /// The position up to which the drive has been asked ahead, whatever it said.
    pub(crate) signed_to: usize,
}

impl Walk {
    /// The file at position `at` is taken. Says whether that is a step of a walk in order, in which no more than
    /// `near` positions are passed over.
    pub(crate) fn step_to(&mut self, at: usize, near: usize) -> bool {
        match self.last {
            // Several who share the work are not in step.
            Some(last) if at <= last && last - at <= near => false,
            Some(last) if at > last && at - last <= near => {
                self.last = Some(at);
                self.steps += 1;
                self.steps >= STEPS
            }
            _ => {
                self.last = Some(at);
                (self.steps, self.signed_to) = (0, 0);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: &[usize], expected: &str) {
        let mut walk = Walk::default();
        let seen: String = steps
            .iter()
            .map(|at| if walk.step_to(*at, 5) { '+' } else { '-' })
            .collect();
        assert_eq!(seen, expected, "{steps:?}");
    }

    #[test]
    fn a_walk_shows_in_its_steps() {
        check(&[0], "-");
        check(&[7, 8, 9, 10, 11], "---++");
        check(&[0, 2, 7, 9, 14], "---++");
        check(&[0, 1, 2, 2, 2, 3, 3], "-----+-");
        check(&[0, 1, 3, 2, 4, 6, 5, 7], "----++-+");
        check(&[0, 1, 2, 3, 90, 91, 92, 93], "---+---+");
        check(&[40, 30, 20, 10, 0], "-----");
        check(&[9, 8, 7, 6, 5, 4, 3], "-------");
    }
}
