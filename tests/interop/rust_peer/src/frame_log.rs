//! Which gossip messages go in and out. iroh-gossip tells it to nobody but its log: at level debug,
//! as `RecvMessage(PublicKey(…), Message { topic: TopicId(…), message: Gossip(Prune) })`.

use std::fmt::Debug;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::say;

/// Says `frame_in` and `frame_out` for what the log tells.
pub struct FrameLog;

impl Subscriber for FrameLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "iroh_gossip::net"
            && *metadata.level() == Level::DEBUG
            && metadata.fields().field("event").is_some()
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut FrameVisitor);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct FrameVisitor;

impl Visit for FrameVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "event"
            && let Some(frame) = frame(&format!("{value:?}"))
        {
            say(frame);
        }
    }
}

fn frame(text: &str) -> Option<Value> {
    let (call, rest) = text.split_once("(PublicKey(")?;
    let event = match call {
        "RecvMessage" => "frame_in",
        "SendMessage" => "frame_out",
        _ => return None,
    };
    let peer = rest.get(..64)?;
    let topic = rest.split_once("TopicId(")?.1.get(..64)?;
    let (_, layer) = rest.split_once(", message: ")?;
    let (_, message) = layer.split_once('(')?;
    let message = message.split(|it: char| !it.is_alphanumeric()).next()?;
    Some(json!({"event": event, "topic": topic, "peer": peer, "message": message}))
}
