use crate::ROOT_ID;

/// Makes an id of the tree as long as those of the service, which have 40 characters.
const LENGTHENING: &str = "65a0c1d2e3f4051627384";

/// The id by which the API knows a node of the tree.
pub fn file_id(id: &str) -> String {
    match id {
        ROOT_ID => "root".into(),
        id => format!("{LENGTHENING}{id}"),
    }
}

/// The tree's id for an id of the API; any other text stands for nothing.
pub(crate) fn tree_id(file_id: &str) -> Option<&str> {
    match file_id {
        "root" => Some(ROOT_ID),
        id => id.strip_prefix(LENGTHENING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    #[test]
    fn ids_have_forty_characters_and_lead_back() {
        let id = Tree::new().add_folder(ROOT_ID, "a");
        assert_eq!(file_id(&id).len(), 40);
        assert_eq!(tree_id(&file_id(&id)), Some(id.as_str()));
        assert_eq!(tree_id(&file_id(ROOT_ID)), Some(ROOT_ID));
        assert_eq!(tree_id(&id), None);
    }
}
