use linkfs_provider::{Result, Secret};
use linkfs_provider_http::settings::{self, invalid};
use reqwest::Url;
use serde::Deserialize;

use crate::login::Login;
use crate::space::{Space, TOP};

/// China's. Accounts of the international edition have `https://api.dingtalk.io`.
const DEFAULT_ENDPOINT: &str = "https://api.dingtalk.com";

/// The settings as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    endpoint: Option<String>,
    space: String,
    root: Option<String>,
    union_id: String,
    app_key: Option<String>,
    app_secret: Option<Secret<String>>,
    corp_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret<String>>,
    token: Option<Secret<String>>,
}

/// The settings as checked: every combination that can be written here makes sense.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) endpoint: Url,
    pub(crate) space: Space,
    pub(crate) login: Login,
}

impl Config {
    /// The settings, when they make sense together.
    ///
    /// # Errors
    /// `Invalid`, naming the key and what to do.
    pub(crate) fn check(self) -> Result<Setup> {
        let endpoint = self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        Ok(Setup {
            endpoint: settings::endpoint(endpoint)?,
            login: self.login()?,
            space: self.space()?,
        })
    }

    fn space(&self) -> Result<Space> {
        let root = self.root.as_deref().unwrap_or(TOP);
        if root.is_empty() {
            return Err(invalid("`root` is empty: leave it out or name a folder id"));
        }
        if self.space.is_empty() {
            return Err(invalid("`space` is empty: put the space's id there"));
        }
        if self.union_id.is_empty() {
            return Err(invalid(
                "`union_id` is empty: put the union id of the person there whose rights count",
            ));
        }
        Ok(Space {
            id: self.space.clone(),
            root: root.into(),
            union_id: self.union_id.clone(),
        })
    }

    /// One of three ways. Keys of two are a mistake, and guessing which to use would log in as
    /// somebody else.
    fn login(&self) -> Result<Login> {
        let is_app = self.app_key.is_some() || self.app_secret.is_some();
        let is_corp =
            self.corp_id.is_some() || self.client_id.is_some() || self.client_secret.is_some();
        match (self.token.is_some(), is_app, is_corp) {
            (true, false, false) => self.token_login(),
            (false, true, false) => Ok(Login::App {
                app_key: plain("app_key", self.app_key.as_deref())?,
                app_secret: secret("app_secret", self.app_secret.as_ref())?,
            }),
            (false, false, true) => Ok(Login::Corp {
                corp_id: plain("corp_id", self.corp_id.as_deref())?,
                client_id: plain("client_id", self.client_id.as_deref())?,
                client_secret: secret("client_secret", self.client_secret.as_ref())?,
            }),
            (false, false, false) => Err(invalid(
                "no login is set: add `app_key` and `app_secret`; or `corp_id`, `client_id` and \
                 `client_secret`; or `token`",
            )),
            _ => Err(invalid(
                "two logins are set: keep either `app_key` and `app_secret`; or `corp_id`, \
                 `client_id` and `client_secret`; or `token`",
            )),
        }
    }

    fn token_login(&self) -> Result<Login> {
        let token = secret("token", self.token.as_ref())?;
        settings::check_header("token", Some(token.expose()))?;
        Ok(Login::Token { token })
    }
}

fn plain(key: &str, value: Option<&str>) -> Result<String> {
    match value.unwrap_or("").trim() {
        "" => Err(missing(key)),
        value => Ok(value.to_owned()),
    }
}

/// Files and commands leave line ends behind: they are cut.
fn secret(key: &str, value: Option<&Secret<String>>) -> Result<Secret<String>> {
    plain(key, value.map(|value| value.expose().as_str())).map(Secret::new)
}

fn missing(key: &str) -> linkfs_provider::ProviderError {
    invalid(format!("`{key}` is missing or empty: this login needs it"))
}

#[cfg(test)]
mod tests {
    use linkfs_provider::{ErrorKind, Settings};
    use serde_json::{Value, json};

    use super::*;

    fn setup(changes: Value) -> Result<Setup> {
        let mut config = json!({"space": "854001", "union_id": "uOwn"});
        let fields = config.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        let settings = Settings {
            config: Secret::new(fields.clone()),
            state_dir: Default::default(),
        };
        settings.parse::<Config>()?.check()
    }

    fn refused(config: Value, words: &str) {
        let error = setup(config.clone()).expect_err(&config.to_string());
        assert_eq!(error.kind, ErrorKind::Invalid, "{config}");
        assert!(error.message.contains(words), "{config}: {error}");
        assert!(!error.message.contains("s3cret"), "{config}: {error}");
    }

    #[test]
    fn an_internal_app_needs_key_and_secret() {
        let setup = setup(json!({"app_key": "ding1", "app_secret": "fake\n"})).unwrap();
        assert_eq!(setup.endpoint.as_str(), "https://api.dingtalk.com/");
        assert_eq!(setup.space.root.as_str(), "0");
        let Login::App { app_secret, .. } = setup.login else {
            panic!("not an internal app")
        };
        assert_eq!(app_secret.expose(), "fake");
        refused(json!({"app_key": "ding1"}), "`app_secret` is missing");
        refused(json!({"app_secret": "s3cret"}), "`app_key` is missing");
    }

    #[test]
    fn the_newer_form_needs_three_keys() {
        let corp = json!({"corp_id": "dingc0ffee", "client_id": "ding1", "client_secret": "fake"});
        assert!(matches!(setup(corp).unwrap().login, Login::Corp { .. }));
        refused(
            json!({"client_id": "ding1", "client_secret": "s3cret"}),
            "`corp_id` is missing",
        );
        refused(json!({"corp_id": "c", "client_id": "i"}), "`client_secret`");
    }

    #[test]
    fn there_is_exactly_one_login() {
        assert!(matches!(
            setup(json!({"token": "fake"})).unwrap().login,
            Login::Token { .. }
        ));
        refused(json!({}), "no login is set");
        refused(json!({"token": "s3cret", "app_key": "a"}), "two logins");
        refused(json!({"client_id": "a", "app_key": "a"}), "two logins");
        refused(json!({"token": "s3\ncret"}), "`token` holds characters");
        refused(json!({"token": ""}), "`token` is missing or empty");
    }

    #[test]
    fn what_is_mounted_must_be_named() {
        let token = |mut config: Value| {
            config["token"] = json!("s3cret");
            config
        };
        refused(token(json!({"space": ""})), "`space` is empty");
        refused(token(json!({"union_id": ""})), "`union_id` is empty");
        refused(token(json!({"root": ""})), "`root` is empty");
        refused(token(json!({"spaec": "1"})), "unknown field `spaec`");
        refused(
            token(json!({"endpoint": "https://u:s3cret@h"})),
            "`endpoint`",
        );
    }

    #[test]
    fn debug_text_of_the_settings_holds_no_secret() {
        for config in [
            json!({"token": "s3cret"}),
            json!({"app_key": "a", "app_secret": "s3cret"}),
            json!({"corp_id": "c", "client_id": "i", "client_secret": "s3cret"}),
        ] {
            let shown = format!("{:?}", setup(config).unwrap());
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
