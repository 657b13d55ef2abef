use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> TermsPatch {
    TermsPatch::parse(text.as_bytes()).unwrap()
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let error = TermsPatch::parse(text.as_bytes()).unwrap_err();
    let Error::BadTerms(message) = &error else {
        panic!("{text}: {error:?}");
    };
    assert!(message.contains(why), "{text}: {message}");
    assert!(!message.contains("s3cret"), "{text}: {message}");
}

fn days(count: u64) -> Option<Expiry> {
    Some(Expiry::In(Duration::from_secs(count * 24 * 3600)))
}

fn given(code: &str) -> Option<SharePassword> {
    Some(SharePassword::Given(Secret::new(code.to_owned())))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_key_is_read() {
    assert!(parse("").is_empty() && parse(" \n").is_empty() && parse("{}").is_empty());
    let patch =
        parse("expires=7d password=Zx81kk02, audience=org allow=preview,download note='a b'");
    assert_eq!(
        (patch.expires, patch.password),
        (days(7), given("Zx81kk02"))
    );
    assert_eq!(patch.audience, Some(Audience::Organization));
    let permissions = patch.permissions.unwrap();
    assert!(permissions.preview && permissions.download);
    assert!(!permissions.edit && !permissions.save);
    assert_eq!(patch.note.as_deref(), Some("a b"));
    assert_eq!(parse("password=auto").password, Some(SharePassword::Auto));
    assert_eq!(parse("password=none").password, Some(SharePassword::None));
    assert_eq!(parse("audience=anyone").audience, Some(Audience::Anyone));
}

#[test]
fn names_of_people_mean_members() {
    let members = Some(Audience::Members {
        users: names(&["a", "b"]),
        groups: names(&["g"]),
        departments: Vec::new(),
    });
    for text in [
        "audience=members users=a,b groups=g",
        "groups=g users=\"a, b\"",
        r#"{"users":["a","b"],"groups":"g"}"#,
    ] {
        assert_eq!(parse(text).audience, members, "{text}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    refused(
        "expires=s3cret",
        "at character 1: expires: expected a duration",
    );
    refused(
        "note=x s3cret=1",
        "at character 8: unknown key, expected one of expires,",
    );
    refused("s3cret", "at character 1: expected key=value");
    refused("password=", "password: expected auto, none or a code");
    refused("password='s3cret code'", "without blanks");
    refused(
        &format!("password=s3cret{}", "x".repeat(60)),
        "at most 64 bytes",
    );
    refused("audience=everybody", "expected anyone, org or members");
    refused("audience=members", "needs users, groups or departments");
    refused("audience=org users=a", "go with audience=members");
    refused("users=\"\"", "the list is empty");
    refused("allow=preview,fly", "expected some of preview");
    refused(
        "expires=1d expires=1d",
        "at character 12: the key stands there twice",
    );
    refused("password='s3cret", "at character 1: a quote is not closed");
    refused(r#"{"password":{"s3cret":1}}"#, "key 1 of the JSON object");
    refused(r#"{"expires":""}"#, "bad terms: expires: expected a dur");
    refused(r#"{"users":[]}"#, "bad terms: users: the list is empty");
    refused(r#"{"when":"s3cret"}"#, "key 1 of the JSON object: unknown");
    refused(&"x".repeat(100 << 10), "longer than");
    assert!(TermsPatch::parse(b"note=\xff\xfe").is_err());
}

#[test]
fn a_patch_leaves_what_it_does_not_name() {
    let base = ShareTerms {
        valid_for: None,
        password: SharePassword::Auto,
        audience: Audience::Organization,
        permissions: read_permissions(&names(&["edit"])).unwrap(),
        note: Some("kept".to_owned()),
    };
    let now = SystemTime::now();
    let over = |text: &str| parse(text).over(base.clone(), now);
    assert_eq!(over("").unwrap(), base);
    let changed = over("expires=1h password=none note=\"\"").unwrap();
    assert_eq!(changed.valid_for, Some(Duration::from_secs(3600)));
    assert_eq!(
        (changed.password, changed.note),
        (SharePassword::None, None)
    );
    assert_eq!(changed.audience, base.audience);
    let error = over("expires=2001-01-01").unwrap_err();
    assert!(error.to_string().contains("is over"), "{error}");
}

#[test]
fn a_code_is_not_in_the_debug_text() {
    let shown = format!("{:?}", parse("password=s3cret"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// One term as key and values.
fn any_term() -> impl Strategy<Value = (&'static str, Vec<String>)> {
    let name = "[^,\\s\\p{C}][^,\\p{C}]{0,8}[^,\\s\\p{C}]";
    let list = || proptest::collection::vec(name, 1..4);
    let one = |text: &'static str| text.prop_map(|text| vec![text]);
    prop_oneof![
        one("[1-9][0-9]{0,3}[smhd]").prop_map(|values| ("expires", values)),
        one("[A-Za-z0-9\"'=,\\\\{]{1,20}").prop_map(|values| ("password", values)),
        list().prop_map(|values| ("users", values)),
        list().prop_map(|values| ("groups", values)),
        Just(("allow", names(&["preview", "save"]))),
        one("\\PC{0,40}").prop_map(|values| ("note", values)),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _read = TermsPatch::parse(&text);
    }

    #[test]
    fn no_likely_text_makes_it_panic(text in "(expires|password|users|allow|note|\\{|\\}|[=,\"'\\\\: \\PC]){0,20}") {
        let _read = TermsPatch::parse(text.as_bytes());
    }

    #[test]
    fn words_and_json_say_the_same(terms in proptest::collection::vec(any_term(), 0..5)) {
        let mut seen = std::collections::BTreeMap::new();
        for (key, values) in terms {
            seen.entry(key).or_insert(values);
        }
        let words: Vec<_> = seen.iter().map(|(key, values)| {
            let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            format!("{key}={}", values.join(","))
        }).collect();
        let json: serde_json::Map<_, _> = seen.iter().map(|(key, values)| {
            let value = match words::is_list(key) {
                true => serde_json::json!(values),
                false => serde_json::json!(values[0]),
            };
            ((*key).to_owned(), value)
        }).collect();
        let from_words = TermsPatch::parse(words.join(" ").as_bytes()).unwrap();
        let from_json = TermsPatch::parse(serde_json::Value::Object(json).to_string().as_bytes()).unwrap();
        prop_assert_eq!(&from_words, &from_json);
        prop_assert_eq!(from_words.note.as_ref(), seen.get("note").map(|values| &values[0]));
        if let Some(users) = seen.get("users") {
            let Some(Audience::Members { users: read, .. }) = &from_words.audience else { panic!("no members") };
            prop_assert_eq!(read, users);
        }
    }
}
