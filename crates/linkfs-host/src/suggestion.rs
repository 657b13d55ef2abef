/// The name that `typed` was probably meant to be: the nearest one, when it is near enough.
pub(crate) fn closest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let by_distance = names.iter().map(|name| (distance(typed, name), *name));
    let (distance, name) = by_distance.min()?;
    // A third of the letters wrong is a slip of the finger; more is another word.
    (distance * 3 <= name.chars().count()).then_some(name)
}

/// How many letters must be put in, left out or exchanged to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_the_letters_to_change() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "pds", 3),
            ("pds", "PDS", 0),
            ("kodrive", "koodrive", 1),
            ("koodirve", "koodrive", 2),
            ("dingtalk", "koodrive", 8),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        for (typed, expected) in [
            ("kodrive", Some("koodrive")),
            ("KooDrive", Some("koodrive")),
            ("pd", Some("pds")),
            ("s3", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, &["koodrive", "pds"]), expected, "{typed}");
        }
    }
}
