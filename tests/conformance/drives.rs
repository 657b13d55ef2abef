//! The constructors. The emulators' own credentials carry a mark, so that they can be looked for.

use std::sync::LazyLock;
use std::time::Duration;

use linkfs_emulator::{Tree, dingtalk as ding, koodrive as koo, pds as aliyun};
use linkfs_provider::{Audience, Permissions, Secret, SharePassword, ShareTerms};
use linkfs_tests::AppKey;
use serde_json::{Map, Value, json};

use crate::rig::{Login, Rig, Shares, plugin_keys};

/// The key of the application that asserts who it is.
static APP_KEY: LazyLock<AppKey> = LazyLock::new(AppKey::generate);

/// The configuration `base` with other keys for the login.
fn with(base: &Map<String, Value>, drop: &[&str], add: Value) -> Map<String, Value> {
    let mut config = base.clone();
    config.retain(|key, _| !drop.contains(&key.as_str()));
    config.extend(add.as_object().expect("keys").clone());
    config
}

pub(crate) fn koodrive(tree: Tree) -> Rig {
    let credentials = koo::Credentials {
        token: "canary-koo-token-10f88aa1".into(),
        session_id: "canary-koo-session".into(),
        account: "canary-koo-account".into(),
        password: "canary-koo-password".into(),
        app_secret: "canary-koo-app-secret".into(),
        signing_secret: "canary-koo-signing".into(),
        ..koo::Credentials::default()
    };
    let options = koo::Options {
        credentials: credentials.clone(),
        ..koo::Options::with_tree(tree)
    };
    let drive = koo::Emulator::start_blocking(options).expect("KooDrive starts");
    let token = plugin_keys(drive.mount_config());
    let session = with(
        &token,
        &[],
        json!({"auth_mode": "session", "session_id": credentials.session_id}),
    );
    let carrier = with(
        &token,
        &["token"],
        json!({"auth_mode": "carrier", "carrier": credentials.carrier,
            "account": credentials.account, "password": credentials.password}),
    );
    let app = with(
        &token,
        &["token"],
        json!({"auth_mode": "app", "app_id": credentials.app_id,
            "app_secret": credentials.app_secret, "user_id": credentials.user_id}),
    );
    let login = |config, secrets, renews| Login {
        config,
        secrets,
        renews,
    };
    let mut rig = Rig::new(drive, linkfs_plugin_koodrive::PLUGIN);
    rig.shares = Some(koodrive_shares());
    rig.logins = vec![
        login(token, &["token"], false),
        login(session, &["token", "session_id"], true),
        login(carrier, &["password"], true),
        login(app, &["app_secret"], false),
    ];
    rig
}

fn koodrive_shares() -> Shares {
    let terms = share_terms("Zx81kk02");
    let but = |change: fn(&mut ShareTerms)| {
        let mut terms = share_terms("Zx81kk02");
        change(&mut terms);
        terms
    };
    let given = |code: &str| SharePassword::Given(Secret::new(code.into()));
    let mut refused = vec![
        but(|terms| terms.valid_for = None),
        but(|terms| terms.valid_for = Some(Duration::ZERO)),
        but(|terms| terms.valid_for = Some(Duration::from_secs(365 * 86_400 + 1))),
        but(|terms| terms.permissions.edit = true),
        but(|terms| terms.permissions.save = true),
        but(|terms| terms.note = Some("x".repeat(500))),
        but(|terms| terms.audience = nobody()),
    ];
    refused.extend(["short", "much-too-long"].map(|code| ShareTerms {
        password: given(code),
        ..terms.clone()
    }));
    Shares {
        create: "share.create",
        change: "share.update",
        items_max: 100,
        one_per_item: false,
        terms,
        refused,
    }
}

fn pds_shares() -> Shares {
    let but = |change: fn(&mut ShareTerms)| {
        let mut terms = share_terms("Zx81-kk02");
        change(&mut terms);
        terms
    };
    let given = |code: &str| SharePassword::Given(Secret::new(code.into()));
    let mut refused = vec![
        but(|terms| terms.valid_for = Some(Duration::ZERO)),
        but(|terms| terms.valid_for = Some(Duration::MAX)),
        but(|terms| terms.audience = Audience::Organization),
        but(|terms| terms.audience = nobody()),
        but(|terms| terms.note = Some("x".repeat(1024))),
        but(|terms| {
            terms.permissions.preview = false;
            terms.permissions.download = false;
        }),
    ];
    refused.extend(
        ["", "with a space", "caf\u{e9}", &"x".repeat(65)].map(|code| {
            let password = given(code);
            ShareTerms {
                password,
                ..share_terms("")
            }
        }),
    );
    Shares {
        create: "share.create",
        change: "share.update",
        items_max: 100,
        one_per_item: false,
        terms: share_terms("Zx81-kk02"),
        refused,
    }
}

fn dingtalk_shares() -> Shares {
    let terms = ShareTerms {
        valid_for: None,
        password: SharePassword::None,
        audience: Audience::Members {
            users: vec!["uFriend".into()],
            groups: vec!["cTeam".into()],
            departments: vec!["7".into()],
        },
        ..share_terms("")
    };
    let but = |change: fn(&mut ShareTerms)| {
        let mut terms = terms.clone();
        change(&mut terms);
        terms
    };
    let refused = vec![
        share_terms("Zx81kk02"),
        but(|terms| terms.valid_for = Some(Duration::from_secs(60))),
        but(|terms| terms.password = SharePassword::Auto),
        but(|terms| terms.audience = Audience::Anyone),
        but(|terms| terms.audience = Audience::Organization),
        but(|terms| terms.audience = nobody()),
        but(|terms| terms.permissions.preview = false),
        but(|terms| terms.permissions.save = true),
    ];
    Shares {
        create: "permission.add",
        change: "permission.update",
        items_max: 1,
        one_per_item: true,
        terms,
        refused,
    }
}

/// A week, for everyone, to look at and download.
fn share_terms(code: &str) -> ShareTerms {
    ShareTerms {
        valid_for: Some(Duration::from_secs(7 * 86_400)),
        password: SharePassword::Given(Secret::new(code.into())),
        audience: Audience::Anyone,
        permissions: Permissions {
            preview: true,
            download: true,
            edit: false,
            save: false,
        },
        note: Some("for Lin".into()),
    }
}

/// Members without one.
fn nobody() -> Audience {
    Audience::Members {
        users: Vec::new(),
        groups: Vec::new(),
        departments: Vec::new(),
    }
}

pub(crate) fn pds(tree: Tree) -> Rig {
    let credentials = aliyun::Credentials {
        token: "canary-pds-access-41c7".into(),
        refresh_token: "canary-pds-refresh-9b02".into(),
        client_secret: "canary-pds-client-secret".into(),
        signing_secret: "canary-pds-signing".into(),
        app_public_key: Some(APP_KEY.public()),
        ..aliyun::Credentials::default()
    };
    // More than a page of each.
    let knobs = aliyun::Knobs {
        other_drives: 120,
        group_drives: 110,
        ..aliyun::Knobs::default()
    };
    let options = aliyun::Options {
        credentials: credentials.clone(),
        knobs,
        ..aliyun::Options::with_tree(tree)
    };
    let drive = aliyun::Emulator::start_blocking(options).expect("PDS starts");
    let secret = json!({"client_secret": credentials.client_secret});
    let refresh = with(&plugin_keys(drive.mount_config()), &[], secret);
    let token = with(
        &refresh,
        &["refresh_token", "client_id", "client_secret"],
        json!({"auth_mode": "token", "token": credentials.token}),
    );
    let login = |config, secrets, renews| Login {
        config,
        secrets,
        renews,
    };
    let mut rig = Rig::new(drive, linkfs_plugin_pds::PLUGIN);
    rig.shares = Some(pds_shares());
    rig.spaces = 1 + 120 + 110;
    let jwt = with(
        &refresh,
        &["refresh_token"],
        json!({"auth_mode": "jwt", "domain": aliyun::Options::default().domain, "jwt_key": APP_KEY.pem(),
            "jwt_subject": credentials.user_id}),
    );
    rig.logins = vec![
        login(refresh, &["refresh_token", "client_secret"], true),
        login(token, &["token"], false),
        login(jwt, &["client_secret"], true),
    ];
    rig
}

pub(crate) fn dingtalk(tree: Tree) -> Rig {
    let credentials = ding::Credentials {
        app_secret: "canary-ding-app-secret".into(),
        token: "canary-ding-token-4f1c".into(),
        signing_secret: "canary-ding-signing".into(),
        ..ding::Credentials::default()
    };
    // More than a page.
    let knobs = ding::Knobs {
        other_spaces: 120,
        ..ding::Knobs::default()
    };
    let options = ding::Options {
        credentials: credentials.clone(),
        knobs,
        ..ding::Options::with_tree(tree)
    };
    let drive = ding::Emulator::start_blocking(options).expect("DingTalk starts");
    let app = plugin_keys(drive.mount_config());
    let corp = with(
        &app,
        &["app_key", "app_secret"],
        json!({"corp_id": credentials.corp_id, "client_id": credentials.app_key,
            "client_secret": credentials.app_secret}),
    );
    let token = with(
        &app,
        &["app_key", "app_secret"],
        json!({"token": drive.token()}),
    );
    let login = |config, secrets, renews| Login {
        config,
        secrets,
        renews,
    };
    let mut rig = Rig::new(drive, linkfs_plugin_dingtalk::PLUGIN);
    rig.shares = Some(dingtalk_shares());
    rig.spaces = 1 + 1 + 120;
    rig.logins = vec![
        login(app, &["app_secret"], true),
        login(corp, &["client_secret"], true),
        login(token, &["token"], false),
    ];
    rig
}
