/// Something that every plugin has to do, or is advised to.
#[derive(Debug, PartialEq, Eq)]
pub struct Promise {
    /// What it is called in reports.
    pub name: &'static str,
    /// What it says.
    pub words: &'static str,
    /// Whether it is good to keep and not asked of everyone: a short script is a plugin too.
    pub is_advice: bool,
}

/// Declares promises, and the list of them all.
macro_rules! promises {
    ($($constant:ident = $name:literal $(($advice:ident))?: $words:literal;)*) => {
        $(pub(super) const $constant: &Promise = &Promise {
            name: $name,
            words: $words,
            is_advice: !stringify!($($advice)?).is_empty(),
        };)*
        /// All there are, in the order in which they are tried.
        pub(super) const ALL: &[&Promise] = &[$($constant),*];
    };
}

promises! {
    HELLO = "hello": "it says hello within 10 s, before it is told anything";
    PROTOCOL = "protocol": "it speaks version 1 of the protocol";
    NAME = "name": "its hello has a name and a version";
    OPENS = "opens": "it opens the drive in time";
    ABOUT = "about": "it tells what the drive is like";
    UNKNOWN_SETTING = "unknown-setting" (advice): "a setting that it does not know is refused as invalid";
    WRONG_SETTING = "wrong-setting": "a setting of the wrong type is refused as invalid";
    LIST = "list": "the top folder can be listed";
    PAGES = "pages": "every folder has a last page, and no page token comes twice";
    IDS = "ids": "no item comes twice in a folder";
    NAMES = "names": "names arrive as the drive has them";
    STAT = "stat": "stat tells of an item what the listing tells, under the same id";
    NOT_FOUND = "not-found": "an item that is not there is answered with not-found";
    USAGE = "usage": "it tells how full the drive is, or that it cannot";
    LINKS = "links": "links gives one answer for each file";
    LINK_ORDER = "link-order": "the answers of links are in the order of the files";
    LINK_FAILURE = "link-failure": "a missing file among others fails alone";
    LINK_WORKS = "link-works": "a link gives a range of the file with 206, and the file's true size";
    LINK_LIFE = "link-life": "a link is not promised for longer than its address says";
    LINK_AGAIN = "link-again": "a file's second link holds as long as its first, which goes on working";
    UNKNOWN_CALL = "unknown-call": "a call that it does not know is answered with unsupported";
    ABILITIES = "abilities": "calls of abilities that it does not have are answered with unsupported";
    UNKNOWN_FIELD = "unknown-field": "a field that it does not know is ignored";
    CANCEL = "cancel": "a cancelled call is answered, and the next one too";
    FLOOD = "flood": "a hundred calls at once are all answered";
    GARBAGE = "garbage" (advice): "a line that is no message does not end it";
    CHECK_SHARE = "check-share": "terms that no share can have are refused as invalid";
    SHARE = "share": "a share has an address, is listed, and can be revoked, twice too";
    MEMORY = "memory": "its memory does not grow with the calls it answers";
    RESTART = "restart": "another process knows the items by the same ids";
    END = "end": "it ends within 2 s when its stdin does";
    HOSTS = "hosts": "it talks to hosts alone that its hello or the configuration names";
    ONCE = "once": "every line is an answer to an open call";
    SECRECY = "secrecy": "neither its messages nor its stderr show a secret of the configuration";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    const PAGE: &str = include_str!("../../../../PLUGINS.md");

    #[test]
    fn the_page_for_authors_tells_what_is_checked() {
        let (_, section) = PAGE.split_once("\n## What is checked\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let told = section.lines().filter(|line| line.starts_with("| `"));
        let rows = ALL.iter().map(|promise| {
            let advice = if promise.is_advice { " (advice)" } else { "" };
            format!("| `{}`{advice} | {} |", promise.name, promise.words)
        });
        assert_eq!(told.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
    }
}
