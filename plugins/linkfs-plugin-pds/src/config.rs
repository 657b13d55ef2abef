use std::time::Duration;

use linkfs_provider::{ItemId, Result, Secret};
use linkfs_provider_http::settings::{check_header, endpoint, invalid, missing, secret};
use reqwest::Url;
use serde::Deserialize;

use crate::assertion::{Claims, SigningKey};
use crate::share_link::ShareAddress;

/// Links hold for this long unless the settings say otherwise: longer ones mean fewer calls and leak
/// worse.
const EXPIRE_SEC: u32 = 3600;

/// The drive signs no link for longer: 32 hours.
const LONGEST_EXPIRE_SEC: u32 = 115_200;

/// The drive signs links into a share for no longer.
const SHARE_EXPIRE_SEC: u32 = 600;

/// Where a domain's own web application shows shares, as far as is known.
const SHARE_URL_TEMPLATE: &str = "https://{domain_id}.apps.aliyunpds.com/disk/s/{share_id}";

/// The place of the domain in it.
const DOMAIN: &str = "{domain_id}";

/// The settings as written. Words from a closed list are read as text and checked here, because a
/// message about an unknown word must not repeat it: it could be a misplaced secret.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    domain: Option<String>,
    endpoint: Option<String>,
    drive: Option<String>,
    share: Option<String>,
    password: Option<Secret<String>>,
    root: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret<String>>,
    auth_mode: Option<Secret<String>>,
    refresh_token: Option<Secret<String>>,
    token: Option<Secret<String>>,
    jwt_key: Option<Secret<String>>,
    jwt_subject: Option<String>,
    jwt_subject_type: Option<Secret<String>>,
    jwt_auto_create: Option<bool>,
    redirect_uri: Option<String>,
    login_type: Option<String>,
    scope: Option<String>,
    url_order: Option<Vec<Secret<String>>>,
    expire_sec: Option<u32>,
    share_url_template: Option<String>,
}

/// The settings as checked: every combination that can be written here makes sense.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) endpoint: Url,
    pub(crate) auth: AuthMode,
    pub(crate) drive_id: String,
    pub(crate) root: ItemId,
    pub(crate) link_terms: LinkTerms,
    /// Unknown without a domain: then nothing can be shared.
    pub(crate) share_address: Option<ShareAddress>,
}

/// How links are asked for and read.
#[derive(Clone, Debug)]
pub(crate) struct LinkTerms {
    /// The names of the addresses to use, best first.
    pub(crate) order: Vec<&'static str>,
    pub(crate) valid_for: Duration,
}

/// A share of somebody else, as checked.
#[derive(Debug)]
pub(crate) struct ShareSetup {
    pub(crate) endpoint: Url,
    pub(crate) auth: AuthMode,
    pub(crate) share_id: String,
    pub(crate) password: Option<Secret<String>>,
    pub(crate) root: ItemId,
    pub(crate) link_terms: LinkTerms,
}

/// How calls are authorized.
#[derive(Debug)]
pub(crate) enum AuthMode {
    /// Not at all: a share is open to who knows its password.
    Nobody,
    /// A ready token that nobody here can renew.
    Token(Secret<String>),
    /// A refresh token, from the settings or from a login in the browser.
    Refresh {
        app: App,
        first: Option<Secret<String>>,
        browser: BrowserTerms,
    },
    /// An application's key.
    Jwt {
        app: App,
        key: SigningKey,
        claims: Claims,
    },
}

/// The application that asks.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Secret<String>>,
}

/// What a login in the browser needs.
#[derive(Clone, Debug)]
pub(crate) struct BrowserTerms {
    pub(crate) redirect_uri: Option<String>,
    pub(crate) login_type: String,
    /// Sent as it stands; without one the application's own scopes hold.
    pub(crate) scope: Option<String>,
}

impl Config {
    /// The settings, when they make sense together.
    ///
    /// # Errors
    /// `Invalid`, naming the key and what to do.
    pub(crate) fn check(self) -> Result<Setup> {
        let drive_id = self.drive.clone().ok_or_else(|| {
            invalid("`drive` is missing: put the drive's drive_id there, or into `share` the address of somebody's share")
        })?;
        if drive_id.is_empty() {
            return Err(invalid("`drive` is empty: put the drive's drive_id there"));
        }
        if self.password.is_some() {
            return Err(invalid("`password` is that of a `share`: remove it"));
        }
        Ok(Setup {
            endpoint: self.endpoint(self.domain.as_deref())?,
            auth: self.auth()?,
            root: self.root()?,
            link_terms: self.link_terms(EXPIRE_SEC, LONGEST_EXPIRE_SEC)?,
            share_address: self.share_address()?,
            drive_id,
        })
    }

    /// Whether somebody's share is to be opened, and no drive of one's own.
    pub(crate) fn is_share(&self) -> bool {
        self.share.is_some()
    }

    /// As [`Config::check`], for a share of somebody else.
    ///
    /// # Errors
    /// `Invalid`, naming the key and what to do.
    pub(crate) fn check_share(self) -> Result<ShareSetup> {
        if self.drive.is_some() {
            return Err(invalid(
                "`drive` is not used with `share`: remove one of them",
            ));
        }
        if self.share_url_template.is_some() {
            return Err(invalid(
                "`share_url_template` is not used with `share`: remove it",
            ));
        }
        let (share_id, domain) = share_place(self.share.as_deref().unwrap_or(""))?;
        let domain = self.domain.as_deref().or(domain.as_deref());
        let password = self
            .password
            .as_ref()
            .map(|password| password.expose().trim());
        let password = password.filter(|password| !password.is_empty());
        Ok(ShareSetup {
            endpoint: self.endpoint(domain)?,
            auth: self.visitor_auth()?,
            password: password.map(|password| Secret::new(password.to_owned())),
            root: self.root()?,
            link_terms: self.link_terms(SHARE_EXPIRE_SEC, SHARE_EXPIRE_SEC)?,
            share_id,
        })
    }

    fn root(&self) -> Result<ItemId> {
        match self.root.as_deref().unwrap_or("root") {
            "" => Err(invalid("`root` is empty: leave it out or name a folder id")),
            root => Ok(root.into()),
        }
    }

    /// A share needs no login, unless it asks for one.
    fn visitor_auth(&self) -> Result<AuthMode> {
        let is_given = self.auth_mode.is_some()
            || self.client_id.is_some()
            || self.client_secret.is_some()
            || self.credentials().iter().any(|(_, is_given, _)| *is_given);
        match is_given {
            true => self.auth(),
            false => Ok(AuthMode::Nobody),
        }
    }

    fn endpoint(&self, domain: Option<&str>) -> Result<Url> {
        let is_name = |domain: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !domain.is_empty() && domain.chars().all(is_part)
        };
        match (domain, &self.endpoint) {
            (Some(domain), _) if !is_name(domain) => Err(invalid(
                "`domain` must be a domain id like bj9: letters, digits and hyphens",
            )),
            (_, Some(address)) => endpoint(address),
            (Some(domain), None) => endpoint(&format!("https://{domain}.api.aliyunpds.com")),
            (None, None) => Err(invalid(
                "`domain` is missing: put the domain id there, or an address into `endpoint`",
            )),
        }
    }

    fn share_address(&self) -> Result<Option<ShareAddress>> {
        let template = self.share_url_template.as_deref();
        let template = template.unwrap_or(SHARE_URL_TEMPLATE);
        let template = match (template.contains(DOMAIN), self.known_domain()) {
            (false, _) => template.to_owned(),
            (true, Some(domain)) => template.replace(DOMAIN, domain),
            (true, None) => return Ok(None),
        };
        let is_address = Url::parse(&template)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        match is_address && template.contains(ShareAddress::ID) {
            true => Ok(Some(ShareAddress(template))),
            false => Err(invalid(
                "`share_url_template` must be an address with {share_id} in it, like https://host/s/{share_id}",
            )),
        }
    }

    /// The domain, which the endpoint's name begins with.
    fn known_domain(&self) -> Option<&str> {
        let of_endpoint = || {
            let (_, host) = self.endpoint.as_deref()?.split_once("://")?;
            let (domain, rest) = host.split_once('.')?;
            rest.contains(".aliyunpds.com").then_some(domain)
        };
        self.domain.as_deref().or_else(of_endpoint)
    }

    fn link_terms(&self, usual: u32, longest: u32) -> Result<LinkTerms> {
        let seconds = self.expire_sec.unwrap_or(usual);
        if !(1..=longest).contains(&seconds) {
            return Err(invalid(format!("`expire_sec` must be 1 to {longest}")));
        }
        let name = |word: &Secret<String>| match word.expose().as_str() {
            "url" => Ok("url"),
            "cdn_url" => Ok("cdn_url"),
            "internal_url" => Ok("internal_url"),
            _ => Err(invalid(
                "`url_order` must list \"url\", \"cdn_url\" or \"internal_url\"",
            )),
        };
        let order = match &self.url_order {
            Some(order) => order.iter().map(name).collect::<Result<Vec<_>>>()?,
            // The internal address is reached from the drive's own cloud only.
            None => vec!["url", "cdn_url"],
        };
        if order.is_empty() {
            return Err(invalid(
                "`url_order` is empty: leave it out or list \"url\"",
            ));
        }
        Ok(LinkTerms {
            order,
            valid_for: Duration::from_secs(seconds.into()),
        })
    }

    fn auth(&self) -> Result<AuthMode> {
        let mode = match &self.auth_mode {
            None => "refresh_token",
            Some(mode) => mode.expose().as_str(),
        };
        match mode {
            "refresh_token" => self.refresh_auth(),
            "token" => self.token_auth(),
            "jwt" => self.jwt_auth(),
            _ => Err(invalid(
                "`auth_mode` must be \"refresh_token\", \"token\" or \"jwt\"",
            )),
        }
    }

    fn token_auth(&self) -> Result<AuthMode> {
        self.only("token", &["token"])?;
        let token = secret("token", "token", self.token.as_ref())?;
        Ok(AuthMode::Token(token))
    }

    fn refresh_auth(&self) -> Result<AuthMode> {
        let keys = ["refresh_token", "redirect_uri", "login_type", "scope"];
        self.only("refresh_token", &keys)?;
        let first = self.refresh_token.as_ref();
        let first = first.map(|_| secret("refresh_token", "refresh_token", first));
        Ok(AuthMode::Refresh {
            app: self.app("refresh_token")?,
            first: first.transpose()?,
            browser: BrowserTerms {
                redirect_uri: self.redirect_uri.clone().filter(|uri| !uri.is_empty()),
                login_type: self.login_type.clone().unwrap_or_else(|| "default".into()),
                scope: self.scope.clone().filter(|scope| !scope.is_empty()),
            },
        })
    }

    fn jwt_auth(&self) -> Result<AuthMode> {
        let keys = [
            "jwt_key",
            "jwt_subject",
            "jwt_subject_type",
            "jwt_auto_create",
        ];
        self.only("jwt", &keys)?;
        let app = self.app("jwt")?;
        let domain = self
            .domain
            .clone()
            .ok_or_else(|| missing("jwt", "domain"))?;
        let key = self.jwt_key.as_ref();
        let key = key.ok_or_else(|| missing("jwt", "jwt_key"))?;
        let subject_type = match self
            .jwt_subject_type
            .as_ref()
            .map(|word| word.expose().as_str())
        {
            None | Some("user") => "user",
            Some("service") => "service",
            Some(_) => {
                let message = "`jwt_subject_type` must be \"user\" or \"service\"";
                return Err(invalid(message));
            }
        };
        let subject = match (&self.jwt_subject, subject_type) {
            (Some(subject), _) if !subject.is_empty() => subject.clone(),
            // A service acts for its whole domain.
            (None, "service") => domain.clone(),
            _ => return Err(missing("jwt", "jwt_subject")),
        };
        Ok(AuthMode::Jwt {
            key: SigningKey::read(key)?,
            claims: Claims {
                client_id: app.client_id.clone(),
                domain,
                subject,
                subject_type,
                auto_create: self.jwt_auto_create.unwrap_or(false),
            },
            app,
        })
    }

    fn app(&self, mode: &str) -> Result<App> {
        let client_id = self.client_id.clone().filter(|id| !id.is_empty());
        let client_id = client_id.ok_or_else(|| missing(mode, "client_id"))?;
        check_header("client_id", Some(&client_id))?;
        let given = self.client_secret.as_ref();
        let client_secret = given.map(|_| secret(mode, "client_secret", given));
        Ok(App {
            client_id,
            client_secret: client_secret.transpose()?,
        })
    }

    /// Refuses credentials of another mode: one of the two is a mistake, and guessing which would
    /// log in as somebody else.
    fn only(&self, mode: &str, keys: &[&str]) -> Result<()> {
        for (key, is_given, home) in self.credentials() {
            if is_given && !keys.contains(&key) {
                return Err(invalid(format!(
                    "`{key}` is not used with auth_mode = \"{mode}\": remove it, or set auth_mode = \"{home}\""
                )));
            }
        }
        Ok(())
    }

    /// The keys of logins, whether each is given, and the mode it belongs to.
    fn credentials(&self) -> [(&'static str, bool, &'static str); 9] {
        [
            ("token", self.token.is_some(), "token"),
            (
                "refresh_token",
                self.refresh_token.is_some(),
                "refresh_token",
            ),
            ("redirect_uri", self.redirect_uri.is_some(), "refresh_token"),
            ("login_type", self.login_type.is_some(), "refresh_token"),
            ("scope", self.scope.is_some(), "refresh_token"),
            ("jwt_key", self.jwt_key.is_some(), "jwt"),
            ("jwt_subject", self.jwt_subject.is_some(), "jwt"),
            ("jwt_subject_type", self.jwt_subject_type.is_some(), "jwt"),
            ("jwt_auto_create", self.jwt_auto_create.is_some(), "jwt"),
        ]
    }
}

/// The id of the share at an address, and the domain that the address names; an id stands for itself.
fn share_place(text: &str) -> Result<(String, Option<String>)> {
    let (id, domain) = match Url::parse(text) {
        Ok(url) => {
            let mut segments = url.path().trim_end_matches('/').rsplit('/');
            let id = segments.next().unwrap_or("").to_owned();
            let host = url.host_str().unwrap_or("");
            let domain = host.strip_suffix(".apps.aliyunpds.com");
            (id, domain.map(str::to_owned))
        }
        Err(_) => (text.to_owned(), None),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !id.is_empty() && id.chars().all(is_part) {
        true => Ok((id, domain)),
        false => Err(invalid(
            "`share` must be the address of a share, which ends with its id, or the id alone",
        )),
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn setup(changes: Value) -> Result<Setup> {
        let mut config = json!({"domain": "bj9", "drive": "1", "client_id": "App1"});
        let fields = config.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        fields.retain(|_, value| !value.is_null());
        let settings = linkfs_provider::Settings {
            config: Secret::new(fields.clone()),
            state_dir: Default::default(),
        };
        settings.parse::<Config>()?.check()
    }

    fn refused(changes: Value, message: &str) {
        let error = setup(changes.clone()).expect_err(&changes.to_string());
        assert_eq!(error.kind, ErrorKind::Invalid, "{changes}");
        assert_eq!(error.message, message, "{changes}");
    }

    #[test]
    fn the_least_configuration_is_a_drive_of_an_application() {
        let setup = setup(json!({"refresh_token": "fake\n"})).unwrap();
        assert_eq!(setup.endpoint.as_str(), "https://bj9.api.aliyunpds.com/");
        assert_eq!(
            (setup.drive_id.as_str(), setup.root.as_str()),
            ("1", "root")
        );
        assert_eq!(setup.link_terms.order, ["url", "cdn_url"]);
        assert_eq!(setup.link_terms.valid_for, Duration::from_secs(3600));
        let AuthMode::Refresh {
            app,
            first,
            browser,
        } = setup.auth
        else {
            panic!("not refresh mode")
        };
        assert_eq!(app.client_id, "App1");
        assert_eq!(first.unwrap().expose(), "fake");
        assert_eq!(browser.login_type, "default");
    }

    #[test]
    fn an_endpoint_wins_over_the_domain() {
        let setup = setup(json!({"endpoint": "http://127.0.0.1:9001"})).unwrap();
        assert_eq!(setup.endpoint.as_str(), "http://127.0.0.1:9001/");
    }

    #[test]
    fn the_address_of_shares_is_made_of_domain_and_template() {
        let address = |changes: Value| setup(changes).unwrap().share_address.map(|known| known.0);
        let usual = "https://bj9.apps.aliyunpds.com/disk/s/{share_id}".to_owned();
        assert_eq!(address(json!({})), Some(usual.clone()));
        let endpoint = json!({"domain": null, "endpoint": "https://bj9.api.aliyunpds.com"});
        assert_eq!(address(endpoint), Some(usual));
        let nameless = json!({"domain": null, "endpoint": "http://127.0.0.1:9001"});
        assert_eq!(address(nameless.clone()), None);
        let own = json!({"share_url_template": "https://h/{domain_id}/{share_id}"});
        assert_eq!(address(own), Some("https://h/bj9/{share_id}".into()));
        let message = "`share_url_template` must be an address with {share_id} in it, like https://host/s/{share_id}";
        refused(json!({"share_url_template": "https://h/s"}), message);
        refused(json!({"share_url_template": "h/{share_id}"}), message);
    }

    fn share(config: Value) -> Result<ShareSetup> {
        let settings = linkfs_provider::Settings {
            config: Secret::new(config.as_object().unwrap().clone()),
            state_dir: Default::default(),
        };
        let config = settings.parse::<Config>()?;
        assert!(config.is_share());
        config.check_share()
    }

    #[test]
    fn a_share_is_named_by_its_address_or_its_id() {
        let address = "https://bj9.apps.aliyunpds.com/disk/s/9kQ2xYz1AbC/";
        let setup = share(json!({"share": address, "password": "abcd\n"})).unwrap();
        assert_eq!(setup.share_id, "9kQ2xYz1AbC");
        assert_eq!(setup.endpoint.as_str(), "https://bj9.api.aliyunpds.com/");
        assert_eq!(setup.password.unwrap().expose(), "abcd");
        assert!(matches!(setup.auth, AuthMode::Nobody));
        assert_eq!(setup.link_terms.valid_for, Duration::from_secs(600));
        let plain = share(json!({"share": "9kQ2xYz1AbC", "domain": "bj9"})).unwrap();
        assert_eq!(
            (plain.share_id.as_str(), plain.password),
            ("9kQ2xYz1AbC", None)
        );
        let own = json!({"share": address, "auth_mode": "token", "token": "fake"});
        assert!(matches!(share(own).unwrap().auth, AuthMode::Token(_)));
    }

    #[test]
    fn settings_that_a_share_has_no_use_for_are_refused() {
        let refused = |more: Value, words: &str| {
            let mut config = json!({"share": "S1", "domain": "bj9"});
            let fields = config.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            let error = share(config).unwrap_err();
            assert!(error.message.contains(words), "{error}");
            assert!(!error.message.contains("s3cret"), "{error}");
        };
        refused(json!({"drive": "1"}), "`drive` is not used");
        refused(
            json!({"share_url_template": "https://h/{share_id}"}),
            "not used",
        );
        refused(json!({"expire_sec": 601}), "1 to 600");
        refused(json!({"share": "https://h/s3cret!"}), "`share` must be");
        refused(json!({"share": "https://h/"}), "`share` must be");
        refused(json!({"token": "s3cret"}), "auth_mode");
        let error = setup(json!({"password": "s3cret"})).unwrap_err();
        assert_eq!(error.message, "`password` is that of a `share`: remove it");
    }

    #[test]
    fn a_missing_key_is_named() {
        refused(
            json!({"domain": null}),
            "`domain` is missing: put the domain id there, or an address into `endpoint`",
        );
        refused(
            json!({"drive": null}),
            "`drive` is missing: put the drive's drive_id there, or into `share` the address of somebody's share",
        );
        refused(
            json!({"client_id": null}),
            "auth_mode = \"refresh_token\" needs `client_id`",
        );
        refused(
            json!({"auth_mode": "token"}),
            "auth_mode = \"token\" needs `token`",
        );
        refused(
            json!({"auth_mode": "jwt"}),
            "auth_mode = \"jwt\" needs `jwt_key`",
        );
        refused(
            json!({"auth_mode": "jwt", "jwt_key": "k"}),
            "auth_mode = \"jwt\" needs `jwt_subject`",
        );
    }

    #[test]
    fn contradictions_are_refused() {
        refused(
            json!({"token": "t"}),
            "`token` is not used with auth_mode = \"refresh_token\": remove it, or set auth_mode = \"token\"",
        );
        refused(
            json!({"auth_mode": "token", "token": "t", "jwt_key": "k"}),
            "`jwt_key` is not used with auth_mode = \"token\": remove it, or set auth_mode = \"jwt\"",
        );
        refused(json!({"expire_sec": 0}), "`expire_sec` must be 1 to 115200");
        refused(
            json!({"expire_sec": 115_201}),
            "`expire_sec` must be 1 to 115200",
        );
        refused(
            json!({"url_order": []}),
            "`url_order` is empty: leave it out or list \"url\"",
        );
    }

    #[test]
    fn a_misplaced_secret_is_not_repeated() {
        refused(
            json!({"auth_mode": "s3cret"}),
            "`auth_mode` must be \"refresh_token\", \"token\" or \"jwt\"",
        );
        refused(
            json!({"url_order": ["s3cret"]}),
            "`url_order` must list \"url\", \"cdn_url\" or \"internal_url\"",
        );
        refused(
            json!({"domain": "s3cret/"}),
            "`domain` must be a domain id like bj9: letters, digits and hyphens",
        );
        refused(
            json!({"auth_mode": "jwt", "jwt_subject": "u", "jwt_key": "s3cret"}),
            "`jwt_key` must be an RSA private key in PEM form",
        );
    }

    #[test]
    fn debug_text_of_the_settings_holds_no_secret() {
        let config = json!({"refresh_token": "s3cret", "client_secret": "s3cret"});
        let shown = format!("{:?}", setup(config).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
