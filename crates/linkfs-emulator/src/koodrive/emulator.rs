use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use super::api;
use super::auth::Accounts;
use super::drive::{Drive, Shared, Space};
use super::knobs::Knobs;
use super::share_book::ShareBook;
use super::shares;
use crate::control::{self, Controlled};
use crate::object_store::ObjectStore;
use crate::server::Server;
use crate::signed_url::SigningKey;
use crate::site;
use crate::{
    CallNames, Clock, Cloud, Counters, EmulatedDrive, Faults, LinkPolicy, Pacing, Setting, Tree,
};

/// How to start an emulated KooDrive.
#[derive(Clone, Debug)]
pub struct Options {
    pub tree: Tree,
    pub knobs: Knobs,
    pub links: LinkPolicy,
    pub credentials: Credentials,
    /// The space's `containerId`.
    pub space: String,
    /// Makes the space a team's, listed under this id.
    pub group: Option<String>,
    pub api_address: SocketAddr,
    pub data_address: SocketAddr,
    pub control_address: SocketAddr,
    /// Threads that serve; the emulator has its own, so that a busy test cannot starve it.
    pub threads: usize,
}

/// Everything secret. The defaults are obviously fake; tests may put marks into them to look for.
#[derive(Clone)]
pub struct Credentials {
    /// A token that is valid from the start.
    pub token: String,
    pub session_id: String,
    /// What the browser sign-in would bring back.
    pub auth_code: String,
    pub user_id: String,
    pub carrier: String,
    pub account: String,
    pub password: String,
    pub captcha: String,
    pub app_id: String,
    pub app_secret: String,
    /// Goes into every link, as the name of the key it was signed with.
    pub access_key: String,
    /// Signs the links.
    pub signing_secret: String,
}

/// A running KooDrive with its object store. Dropping it closes every connection.
pub struct Emulator {
    drive: Drive,
    api_address: SocketAddr,
    data_address: SocketAddr,
    control_address: SocketAddr,
    server: Server,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            tree: Tree::new(),
            knobs: Knobs::default(),
            links: LinkPolicy::default(),
            credentials: Credentials::default(),
            space: "IAACq0f3b6d1c9e4a72".into(),
            group: None,
            api_address: any_port,
            data_address: any_port,
            control_address: any_port,
            threads: 2,
        }
    }
}

impl Options {
    /// The defaults with this content.
    pub fn with_tree(tree: Tree) -> Self {
        Self {
            tree,
            ..Self::default()
        }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            token: "fake-token-10f88aa1".into(),
            session_id: "fake-session-1".into(),
            auth_code: "fake-code".into(),
            user_id: "u-7f21".into(),
            carrier: "carrier-a".into(),
            account: "lin".into(),
            password: "fake-password".into(),
            captcha: "fake-captcha".into(),
            app_id: "fake-app".into(),
            app_secret: "fake-app-secret".into(),
            access_key: "AKFAKE".into(),
            signing_secret: "fake-signing-secret".into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials(user {}, ..)", self.user_id)
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "koodrive::Emulator({})", self.api_address)
    }
}

impl Emulator {
    /// Starts the drive's ports and serves until [`Emulator::stop`] or drop.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::start_blocking(options)
    }

    /// As [`Emulator::start`], for callers without a runtime. It blocks for no longer than it
    /// takes to bind three ports.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        let api = TcpListener::bind(options.api_address)?;
        let data = TcpListener::bind(options.data_address)?;
        let control = TcpListener::bind(options.control_address)?;
        let server = Server::new(options.threads, "koodrive-emulator")?;
        let data_address = data.local_addr()?;
        let drive = build(options, data_address);
        let emulator = Self {
            api_address: api.local_addr()?,
            data_address,
            control_address: control.local_addr()?,
            drive: drive.clone(),
            server,
        };
        emulator.server.serve(data, drive.store.router())?;
        emulator
            .server
            .serve(control, control::router(controlled(&drive)))?;
        emulator.server.serve(api, api::router(drive))?;
        Ok(emulator)
    }

    /// Serves the files as a plain web site too, with indexes and without signatures, for clients that know no
    /// drive. Gives its address.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn serve_site(&self) -> io::Result<String> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (tree, store) = (self.tree().clone(), self.drive.store.clone());
        self.server.serve(listener, site::router(tree, store))?;
        Ok(format!("http://{address}"))
    }

    /// Closes the ports and every connection, at once.
    pub fn stop(self) {
        drop(self);
    }

    /// The API's address, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.api_address)
    }

    /// The object store's address.
    pub fn data_endpoint(&self) -> String {
        format!("http://{}", self.data_address)
    }

    /// The control port's address; see [`crate::control`].
    pub fn control_endpoint(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// The space's `containerId`.
    pub fn space(&self) -> &str {
        &self.drive.space.container
    }

    /// The token that is valid from the start.
    pub fn token(&self) -> &str {
        &self.credentials().token
    }

    pub fn credentials(&self) -> &Credentials {
        &self.drive.accounts.credentials
    }

    pub fn tree(&self) -> &Tree {
        &self.drive.cloud.tree
    }

    pub fn faults(&self) -> &Faults {
        &self.drive.cloud.faults
    }

    pub fn counters(&self) -> &Counters {
        &self.drive.cloud.counters
    }

    pub fn clock(&self) -> &Clock {
        &self.drive.cloud.clock
    }

    pub fn pacing(&self) -> &Setting<Pacing> {
        &self.drive.cloud.pacing
    }

    pub fn links(&self) -> &Setting<LinkPolicy> {
        &self.drive.cloud.links
    }

    pub fn knobs(&self) -> &Setting<Knobs> {
        &self.drive.knobs
    }

    /// The object store refuses all links signed so far.
    pub fn revoke_links(&self) {
        self.drive.cloud.revoke_links();
    }

    /// All tokens end, as if their time were over; refreshing works if the knobs let it.
    pub fn expire_tokens(&self) {
        self.drive.accounts.expire_all();
    }

    /// All tokens end for good; refreshing fails, signing in again works.
    pub fn revoke_tokens(&self) {
        self.drive.accounts.revoke_all();
    }

    /// Somebody else shares files with this user, for seven days; gives the share's address.
    /// `extract_code` may be empty.
    pub fn share_from_others(&self, files: &[String], extract_code: &str) -> String {
        let now = self.drive.cloud.clock.now();
        let mut pages = self.drive.shares.pages();
        let share = pages.add_share_of_others(files.to_vec(), now);
        share.extract_code = extract_code.into();
        share.link_url()
    }

    /// The user's open shares, oldest first, each as the API tells of it.
    pub fn shares(&self) -> Vec<serde_json::Value> {
        shares::open_shares(&self.drive)
    }

    /// Visitors of shares must verify their codes again.
    pub fn end_visits(&self) {
        let mut pages = self.drive.shares.pages();
        pages
            .shares
            .values_mut()
            .for_each(|share| share.visit_tokens.clear());
    }

    /// The keys of a linkfs drive that uses this emulator with its ready token.
    pub fn mount_config(&self) -> serde_json::Value {
        let mut config = serde_json::json!({
            "plugin": "koodrive",
            "endpoint": self.endpoint(),
            "space": self.space(),
            "token": self.token(),
            "allow_private_hosts": true,
        });
        if let Some(group) = &self.drive.space.group {
            config["group"] = group.as_str().into();
            config["team_type"] = "2".into();
        }
        config
    }
}

impl EmulatedDrive for Emulator {
    fn plugin(&self) -> &'static str {
        "koodrive"
    }

    fn endpoint(&self) -> String {
        self.endpoint()
    }

    fn data_endpoints(&self) -> Vec<String> {
        vec![self.data_endpoint()]
    }

    fn control_endpoint(&self) -> String {
        self.control_endpoint()
    }

    fn mount_config(&self) -> serde_json::Value {
        self.mount_config()
    }

    fn calls(&self) -> CallNames {
        let knobs = self.drive.knobs.get();
        CallNames {
            list: "list",
            stat: "detail",
            sign: "download",
            token: "session.refresh",
            usage: "space",
            page_max: knobs.page_size_max,
            sign_max: knobs.download_max,
        }
    }

    fn cloud(&self) -> &Cloud {
        &self.drive.cloud
    }

    fn expire_tokens(&self) {
        self.expire_tokens();
    }
}

fn build(options: Options, data_address: SocketAddr) -> Drive {
    let mut cloud = Cloud::default();
    cloud.tree = options.tree;
    cloud.links.set(options.links);
    let key = SigningKey {
        access_key: options.credentials.access_key.clone(),
        secret: options.credentials.signing_secret.clone(),
    };
    Drive::new(Shared {
        store: ObjectStore::new(cloud.clone(), key, data_address.to_string()),
        knobs: Setting::new(options.knobs),
        accounts: Accounts::new(options.credentials, cloud.clock.now()),
        space: Space {
            container: options.space,
            group: options.group,
        },
        shares: ShareBook::default(),
        cloud,
    })
}

fn controlled(drive: &Drive) -> Controlled {
    let (knobs, accounts) = (drive.clone(), drive.clone());
    Controlled {
        cloud: drive.cloud.clone(),
        merge_knobs: Box::new(move |changes| knobs.knobs.merge(changes)),
        expire_tokens: Box::new(move || accounts.accounts.expire_all()),
    }
}
