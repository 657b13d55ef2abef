use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

use super::accounts::Accounts;
use super::api;
use super::data_port::DataPort;
use super::drive::{Drive, Shared, Space, uuid};
use super::header_signature::HeaderKey;
use super::knobs::Knobs;
use super::link_book::LinkBook;
use super::redirect_target::RedirectTarget;
use crate::control::{self, Controlled};
use crate::object_store::ObjectStore;
use crate::server::{Server, closed_port};
use crate::{
    CallNames, Clock, Cloud, Counters, EmulatedDrive, Faults, LinkPolicy, Pacing, Setting, Tree,
};

/// The life of a link in the documents' examples, and the age at which OSS refuses a date.
const LINK_LIFE_S: u64 = 900;

/// How to start an emulated DingTalk.
#[derive(Clone, Debug)]
pub struct Options {
    pub tree: Tree,
    pub knobs: Knobs,
    pub links: LinkPolicy,
    pub credentials: Credentials,
    /// The space's id.
    pub space: String,
    pub api_address: SocketAddr,
    /// The ports of the object store, best first; at least one.
    pub data_addresses: Vec<SocketAddr>,
    pub redirect_address: SocketAddr,
    pub control_address: SocketAddr,
    /// Threads that serve; the emulator has its own, so that a busy test cannot starve it.
    pub threads: usize,
}

/// Everything secret. The defaults are obviously fake; tests may put marks into them to look for.
#[derive(Clone)]
pub struct Credentials {
    pub app_key: String,
    pub app_secret: String,
    /// The app's token, valid from the start.
    pub token: String,
    /// What the browser sign-in would bring back.
    pub auth_code: String,
    /// Exchanged once for a person's token.
    pub refresh_token: String,
    /// The operator, with whose rights the app acts.
    pub union_id: String,
    pub corp_id: String,
    /// Goes into every link, as the name of the key it was signed with.
    pub access_key: String,
    /// Signs the links.
    pub signing_secret: String,
}

/// A running DingTalk with its object store. Dropping it closes every connection.
pub struct Emulator {
    drive: Drive,
    api_address: SocketAddr,
    control_address: SocketAddr,
    redirect_target: RedirectTarget,
    server: Server,
    /// Bound and not listening, so that connections to it are refused and nobody else gets it.
    _closed_port: TcpSocket,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            tree: Tree::new(),
            knobs: Knobs::default(),
            links: LinkPolicy {
                life_s: LINK_LIFE_S,
                ..LinkPolicy::default()
            },
            credentials: Credentials::default(),
            space: "854001".into(),
            api_address: any_port,
            data_addresses: vec![any_port; 3],
            redirect_address: SocketAddr::from(([127, 0, 0, 2], 0)),
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
            app_key: "ding-fake-app".into(),
            app_secret: "fake-app-secret".into(),
            token: "fake-token-4f1c2f0e9d".into(),
            auth_code: "fake-code".into(),
            refresh_token: "fake-refresh-token".into(),
            union_id: "uFakeOwner".into(),
            corp_id: "dingfakecorp".into(),
            access_key: "AKFAKE".into(),
            signing_secret: "fake-signing-secret".into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials(operator {}, ..)", self.union_id)
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "dingtalk::Emulator({})", self.api_address)
    }
}

impl Emulator {
    /// Starts the drive's ports and serves until [`Emulator::stop`] or drop.
    ///
    /// # Errors
    /// When an address cannot be bound, or there is no data address.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::start_blocking(options)
    }

    /// As [`Emulator::start`], for callers without a runtime. It blocks for no longer than it
    /// takes to bind the ports.
    ///
    /// # Errors
    /// When an address cannot be bound, or there is no data address.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        if options.data_addresses.is_empty() {
            let text = "a drive needs a data address";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let api = TcpListener::bind(options.api_address)?;
        let control = TcpListener::bind(options.control_address)?;
        let redirect = TcpListener::bind(options.redirect_address)?;
        let data = options.data_addresses.iter().map(TcpListener::bind);
        let data = data.collect::<io::Result<Vec<_>>>()?;
        let closed_port = closed_port()?;
        let server = Server::new(options.threads, "dingtalk-emulator")?;
        let hosts = data.iter().map(TcpListener::local_addr);
        let hosts = hosts.collect::<io::Result<Vec<_>>>()?;
        let drive = build(options, &hosts, closed_port.local_addr()?);
        let emulator = Self {
            api_address: api.local_addr()?,
            control_address: control.local_addr()?,
            redirect_target: RedirectTarget::new(redirect.local_addr()?),
            drive: drive.clone(),
            server,
            _closed_port: closed_port,
        };
        let server = &emulator.server;
        for (index, listener) in data.into_iter().enumerate() {
            let drive = drive.clone();
            server.serve(listener, DataPort { drive, index }.router())?;
        }
        let target = emulator.redirect_target.router(drive.store.clone());
        server.serve(redirect, target)?;
        server.serve(control, control::router(controlled(&drive)))?;
        server.serve(api, api::router(drive))?;
        Ok(emulator)
    }

    /// Closes the ports and every connection, at once.
    pub fn stop(self) {
        drop(self);
    }

    /// The API's address, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.api_address)
    }

    /// The addresses of the object store, in the order in which links name them.
    pub fn data_endpoints(&self) -> Vec<String> {
        self.drive.data_hosts.clone()
    }

    /// An address that refuses connections.
    pub fn closed_endpoint(&self) -> String {
        self.drive.closed_host.clone()
    }

    /// The control port's address; see [`crate::control`].
    pub fn control_endpoint(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// Another host, which tells what headers came along on a redirect.
    pub fn redirect_target(&self) -> &RedirectTarget {
        &self.redirect_target
    }

    /// The space's id.
    pub fn space(&self) -> &str {
        &self.drive.space.id
    }

    /// The app's token as it is now; empty when it has none until somebody asks for one.
    pub fn token(&self) -> String {
        self.drive.accounts.current_app_token().unwrap_or_default()
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

    /// Life and end of links. Their style is always that of signed headers.
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

    /// All tokens end, as if their time were over; new ones are to be had.
    pub fn expire_tokens(&self) {
        self.drive.accounts.expire_all();
    }

    /// The calls that count against the month's limit, so far.
    pub fn calls_this_month(&self) -> u64 {
        let now = self.drive.cloud.clock.now();
        self.drive.meter.calls_in_month(now)
    }

    /// Pretends that this many calls were made this month.
    pub fn set_calls_this_month(&self, calls: u64) {
        let now = self.drive.cloud.clock.now();
        self.drive.meter.set_calls_in_month(now, calls);
    }

    /// The id by which the API knows a node of the tree; the root is `0`.
    pub fn wire_id(&self, id: &str) -> String {
        self.drive.wire_id(id)
    }

    /// The id a node keeps wherever it goes.
    pub fn uuid(&self, id: &str) -> String {
        uuid(id)
    }

    /// Who was given rights on a file, each as `TYPE:id=ROLE`, in order.
    pub fn members(&self, id: &str) -> Vec<String> {
        self.drive.permissions.members(id)
    }

    /// Gives somebody a role on a file, as another program would; `kind` is such as `USER`.
    pub fn grant(&self, id: &str, kind: &str, member: &str, role: &str) {
        let corp = &self.drive.space.corp;
        self.drive.permissions.grant(id, kind, member, corp, role);
    }

    /// Who else may see a file, such as `ORG_READ`, when it was set.
    pub fn scope(&self, id: &str) -> Option<String> {
        self.drive.permissions.scope(id)
    }

    /// The keys of a linkfs drive that uses this emulator.
    pub fn mount_config(&self) -> serde_json::Value {
        let credentials = self.credentials();
        serde_json::json!({
            "plugin": "dingtalk",
            "endpoint": self.endpoint(),
            "space": self.space(),
            "union_id": credentials.union_id,
            "app_key": credentials.app_key,
            "app_secret": credentials.app_secret,
            "allow_private_hosts": true,
        })
    }
}

impl EmulatedDrive for Emulator {
    fn plugin(&self) -> &'static str {
        "dingtalk"
    }

    fn endpoint(&self) -> String {
        self.endpoint()
    }

    fn data_endpoints(&self) -> Vec<String> {
        self.data_endpoints()
    }

    fn control_endpoint(&self) -> String {
        self.control_endpoint()
    }

    fn mount_config(&self) -> serde_json::Value {
        self.mount_config()
    }

    fn calls(&self) -> CallNames {
        CallNames {
            list: "list",
            stat: "dentry",
            sign: "download",
            token: "token",
            usage: "space.get",
            page_max: self.drive.knobs.get().page_size_max,
            sign_max: 1,
        }
    }

    fn cloud(&self) -> &Cloud {
        &self.drive.cloud
    }

    fn expire_tokens(&self) {
        self.expire_tokens();
    }

    fn wire_id(&self, id: &str) -> String {
        self.wire_id(id)
    }
}

fn build(options: Options, hosts: &[SocketAddr], closed: SocketAddr) -> Drive {
    let mut cloud = Cloud::default();
    cloud.tree = options.tree;
    cloud.links.set(options.links);
    let key = HeaderKey {
        access_key: options.credentials.access_key.clone(),
        secret: options.credentials.signing_secret.clone(),
    };
    Drive::new(Shared {
        store: ObjectStore::oss(cloud.clone()),
        links: LinkBook::new(key),
        knobs: Setting::new(options.knobs),
        space: Space {
            id: options.space,
            corp: options.credentials.corp_id.clone(),
        },
        accounts: Accounts::new(options.credentials, cloud.clock.now()),
        meter: Default::default(),
        versions: Default::default(),
        permissions: Default::default(),
        thaws: Default::default(),
        used_tokens: Default::default(),
        data_hosts: hosts.iter().map(|host| format!("http://{host}")).collect(),
        closed_host: format!("http://{closed}"),
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
