//! A peer made of the crates iroh and iroh-gossip, for tests to drive.
//!
//! `rust-peer CONFIG` takes its options as JSON, then a command a line on stdin, and tells an event
//! a line on stdout, the first of them `ready`. It binds 127.0.0.1 alone, has no relay and looks
//! nothing up: it knows the addresses it is given, and those that gossip brings. It ends with
//! `shutdown`, or when stdin does.

mod frame_log;

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::HEXLOWER;
use iroh::address_lookup::memory::MemoryLookup;
use iroh::endpoint::{
    AfterHandshakeOutcome, BeforeConnectOutcome, Connection, EndpointHooks, PortmapperConfig,
    QuicTransportConfig, presets,
};
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use iroh_gossip::api::{Event, GossipReceiver, GossipSender};
use iroh_gossip::proto::{DeliveryScope, HyparviewConfig};
use iroh_gossip::{ALPN, Gossip, TopicId};
use n0_future::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinHandle;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Tell each gossip message that goes in or out.
    frames: bool,
    shuffle_interval_ms: u64,
    /// How long a connection lives without a packet; the smaller of both ends' values counts.
    idle_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { frames: false, shuffle_interval_ms: 60_000, idle_timeout_ms: 30_000 }
    }
}

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// From now on connect with these peers only: so a test decides who is whose neighbor.
    Allow {
        peers: BTreeSet<EndpointId>,
    },
    /// Again, with other peers, is fine.
    Join {
        topic: String,
        bootstrap: Vec<Peer>,
    },
    /// `content` is hex.
    Broadcast {
        topic: String,
        content: String,
    },
    BroadcastNeighbors {
        topic: String,
        content: String,
    },
    Leave {
        topic: String,
    },
    Shutdown,
}

#[derive(Deserialize)]
struct Peer {
    id: EndpointId,
    addrs: Vec<SocketAddr>,
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let config: Config = serde_json::from_str(&std::env::args().nth(1).unwrap_or("{}".into()))?;
    if config.frames {
        tracing::subscriber::set_global_default(frame_log::FrameLog)?;
    }
    let mut node = Node::start(config).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let done = match serde_json::from_str(&line) {
            Ok(Command::Shutdown) => break,
            Ok(command) => node.obey(command).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = done {
            say(json!({"event": "error", "text": error.to_string()}));
        }
    }
    node.router.shutdown().await?;
    Ok(())
}

struct Node {
    router: Router,
    gossip: Gossip,
    addresses: MemoryLookup,
    gate: Gate,
    topics: HashMap<TopicId, (GossipSender, JoinHandle<()>)>,
}

impl Node {
    async fn start(config: Config) -> Fallible<Self> {
        let (addresses, gate) = (MemoryLookup::new(), Gate::default());
        let endpoint = Endpoint::builder(presets::Minimal)
            .clear_ip_transports()
            .bind_addr("127.0.0.1:0")?
            .relay_mode(RelayMode::Disabled)
            .portmapper_config(PortmapperConfig::Disabled)
            .address_lookup(addresses.clone())
            .hooks(gate.clone())
            .transport_config(transport(Duration::from_millis(config.idle_timeout_ms))?)
            .bind()
            .await?;
        let membership = HyparviewConfig {
            shuffle_interval: Duration::from_millis(config.shuffle_interval_ms),
            ..Default::default()
        };
        let gossip = Gossip::builder().membership_config(membership).spawn(endpoint.clone());
        let (id, bound) = (endpoint.id(), endpoint.bound_sockets());
        let router = Router::builder(endpoint).accept(ALPN, gossip.clone()).spawn();
        say(json!({"event": "ready", "id": id, "addrs": bound}));
        Ok(Self { router, gossip, addresses, gate, topics: HashMap::new() })
    }

    async fn obey(&mut self, command: Command) -> Fallible<()> {
        match command {
            Command::Allow { peers } => *self.gate.0.lock().expect("no panic") = Some(peers),
            Command::Join { topic, bootstrap } => self.join(topic.parse()?, bootstrap).await?,
            Command::Broadcast { topic, content } => {
                let content = HEXLOWER.decode(content.as_bytes())?;
                self.sender(&topic)?.broadcast(content.into()).await?;
            }
            Command::BroadcastNeighbors { topic, content } => {
                let content = HEXLOWER.decode(content.as_bytes())?;
                self.sender(&topic)?.broadcast_neighbors(content.into()).await?;
            }
            Command::Leave { topic } => {
                // With its sender and its receiver gone, iroh-gossip quits the topic.
                let (_, events) = self.topics.remove(&topic.parse()?).ok_or("not joined")?;
                events.abort();
            }
            Command::Shutdown => unreachable!("ends the loop"),
        }
        Ok(())
    }

    async fn join(&mut self, topic: TopicId, bootstrap: Vec<Peer>) -> Fallible<()> {
        let ids = bootstrap.iter().map(|peer| peer.id).collect();
        for Peer { id, addrs } in bootstrap {
            let known = addrs.into_iter().fold(EndpointAddr::new(id), EndpointAddr::with_ip_addr);
            self.addresses.add_endpoint_info(known);
        }
        if let Some((sender, _)) = self.topics.get(&topic) {
            sender.join_peers(ids).await?;
        } else {
            let (sender, receiver) = self.gossip.subscribe(topic, ids).await?.split();
            self.topics.insert(topic, (sender, tokio::spawn(tell(topic, receiver))));
        }
        // Until here a peer that asks to be let in would be ignored, and wait for ever.
        say(json!({"event": "joined", "topic": topic.to_string()}));
        Ok(())
    }

    fn sender(&self, topic: &str) -> Fallible<&GossipSender> {
        Ok(&self.topics.get(&topic.parse()?).ok_or("not joined")?.0)
    }
}

fn transport(idle: Duration) -> Fallible<QuicTransportConfig> {
    // iroh refuses more than these, which are its defaults.
    let keep_alive = (idle / 6).min(Duration::from_secs(5));
    let path_idle = (idle / 2).min(Duration::from_secs(15));
    Ok(QuicTransportConfig::builder()
        .max_idle_timeout(Some(idle.try_into()?))
        .keep_alive_interval(keep_alive)
        .default_path_max_idle_timeout(path_idle)
        .default_path_keep_alive_interval(keep_alive)
        .build())
}

/// Tell what happens in a topic, until it is left.
async fn tell(topic: TopicId, mut events: GossipReceiver) {
    let topic = topic.to_string();
    while let Some(event) = events.next().await {
        say(match event {
            Ok(Event::NeighborUp(peer)) => {
                json!({"event": "neighbor_up", "topic": topic, "peer": peer})
            }
            Ok(Event::NeighborDown(peer)) => {
                json!({"event": "neighbor_down", "topic": topic, "peer": peer})
            }
            Ok(Event::Received(message)) => json!({
                "event": "received",
                "topic": topic,
                "content": HEXLOWER.encode(&message.content),
                "delivered_from": message.delivered_from,
                "round": match message.scope {
                    DeliveryScope::Swarm(round) => json!(round),
                    DeliveryScope::Neighbors => Value::Null,
                },
            }),
            Ok(Event::Lagged) => json!({"event": "lagged", "topic": topic}),
            Err(error) => json!({"event": "error", "text": error.to_string()}),
        });
    }
}

/// Decides which peers this one connects with, whoever dials; None: with all.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<Mutex<Option<BTreeSet<EndpointId>>>>);

impl Gate {
    fn lets(&self, peer: EndpointId) -> bool {
        self.0.lock().expect("no panic").as_ref().is_none_or(|peers| peers.contains(&peer))
    }
}

impl EndpointHooks for Gate {
    async fn before_connect<'a>(
        &'a self,
        to: &'a EndpointAddr,
        _: &'a [u8],
    ) -> BeforeConnectOutcome {
        if self.lets(to.id) { BeforeConnectOutcome::Accept } else { BeforeConnectOutcome::Reject }
    }

    async fn after_handshake<'a>(&'a self, with: &'a Connection) -> AfterHandshakeOutcome {
        if self.lets(with.remote_id()) {
            return AfterHandshakeOutcome::Accept;
        }
        AfterHandshakeOutcome::Reject { error_code: 99u32.into(), reason: b"kept apart".to_vec() }
    }
}

/// Write one event; lines of different threads don't mix.
fn say(event: Value) {
    println!("{event}");
}
