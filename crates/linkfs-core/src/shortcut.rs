//! A web document as a file: the text of an Internet shortcut, which desktops open in a browser and
//! everything else can read. It is made from the listing alone.

use linkfs_provider::WebAddress;

/// What such a file's name ends with.
pub(crate) const EXTENSION: &str = ".url";

/// The bytes of the file. The line ends are those of the format.
pub(crate) fn text(address: &WebAddress) -> String {
    format!("[InternetShortcut]\r\nURL={address}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_address_on_a_line_of_its_own() {
        let address = WebAddress::new("https://docs.example/i/nodes/1?a=b%0Ac").unwrap();
        let lines = [
            "[InternetShortcut]",
            "URL=https://docs.example/i/nodes/1?a=b%0Ac",
        ];
        assert!(text(&address).lines().eq(lines));
        assert!(text(&address).ends_with("c\r\n"));
    }
}
