//! The arithmetic of a rollout: how many pods each ReplicaSet may have next.
//!
//! Upstream: pkg/controller/deployment/{rolling.go,sync.go}, util/deployment_util.go
//! Left out: nothing.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::annotations;

/// How far a rollout may go above and below the wanted number, in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub replicas: i32,
    pub max_surge: i32,
    pub max_unavailable: i32,
}

impl Bounds {
    /// The bounds that a Deployment's strategy gives. When both come out as 0 nothing could ever move, so one pod may
    /// be unavailable.
    pub fn of(deployment: &Deployment) -> Self {
        let spec = deployment.spec.as_ref();
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1).max(0);
        let strategy = spec.and_then(|spec| spec.strategy.as_ref());
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
            return Self { replicas, max_surge: 0, max_unavailable: 0 };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let max_surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), replicas, Round::Up);
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let max_unavailable = scaled(unavailable, replicas, Round::Down);
        let max_unavailable = if max_surge == 0 && max_unavailable == 0 { 1 } else { max_unavailable };
        Self { replicas, max_surge, max_unavailable: max_unavailable.min(replicas) }
    }

    /// The most pods that may exist at once.
    pub fn most(self) -> i32 {
        self.replicas + self.max_surge
    }

    /// The fewest pods that must be available.
    pub fn fewest(self) -> i32 {
        self.replicas - self.max_unavailable
    }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// A number of pods, or a percentage of `total`; 25 % when the field is missing, which is its default.
fn scaled(value: Option<&IntOrString>, total: i32, round: Round) -> i32 {
    let percent = match value {
        Some(IntOrString::Int(number)) => return (*number).max(0),
        Some(IntOrString::String(text)) => text.strip_suffix('%').and_then(|text| text.parse().ok()).unwrap_or(0.0),
        None => 25.0,
    };
    let exact: f64 = f64::from(total) * percent / 100.0;
    match round {
        Round::Up => exact.ceil() as i32,
        Round::Down => exact.floor() as i32,
    }
}

/// The replicas that a ReplicaSet's spec asks for.
pub fn wanted(replica_set: &ReplicaSet) -> i32 {
    replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The pods of a ReplicaSet that are available.
pub fn available(replica_set: &ReplicaSet) -> i32 {
    replica_set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn total(replica_sets: &[&ReplicaSet]) -> i32 {
    replica_sets.iter().map(|replica_set| wanted(replica_set)).sum()
}

/// The size of the newest ReplicaSet in a rolling update: as many as there is room for, never more than wanted.
/// `current` is its size now, 0 before it exists; `all` the size of all together.
pub fn newest(bounds: Bounds, current: i32, all: i32) -> i32 {
    if current >= bounds.replicas {
        return bounds.replicas;
    }
    let room = (bounds.most() - all).max(0);
    current + room.min(bounds.replicas - current)
}

/// The sizes of the older ReplicaSets in a rolling update, in the order given (oldest first): first those pods go that
/// are not available anyway, then as many available ones as the newest has replaced.
pub fn older(bounds: Bounds, newest: &ReplicaSet, older: &[&ReplicaSet]) -> Vec<i32> {
    let mut sizes: Vec<i32> = older.iter().map(|replica_set| wanted(replica_set)).collect();
    let newest_not_available = wanted(newest) - available(newest);
    let mut may_go = total(older) + wanted(newest) - bounds.fewest() - newest_not_available;
    if total(older) == 0 || may_go <= 0 {
        return sizes;
    }
    for (size, replica_set) in sizes.iter_mut().zip(older) {
        let broken = (*size - available(replica_set)).clamp(0, may_go);
        *size -= broken;
        may_go -= broken;
    }
    let all_available = available(newest) + older.iter().map(|replica_set| available(replica_set)).sum::<i32>();
    let mut may_go = (all_available - bounds.fewest()).max(0);
    for size in &mut sizes {
        let gone = (*size).min(may_go);
        *size -= gone;
        may_go -= gone;
    }
    sizes
}

/// The sizes after the Deployment itself was scaled in the middle of a rollout: the difference is shared among the
/// ReplicaSets by their size, what rounding leaves goes to the first. `active` is in the order of precedence:
/// larger first, then newer first when growing, older first when shrinking.
pub fn proportional(bounds: Bounds, active: &[&ReplicaSet], deployment_replicas: i32) -> Vec<i32> {
    let allowed = if bounds.replicas > 0 { bounds.most() } else { 0 };
    let to_add = allowed - total(active);
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::new();
    for replica_set in active {
        let share = share(bounds, replica_set, deployment_replicas, to_add, added);
        added += share;
        sizes.push(wanted(replica_set) + share);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

fn share(bounds: Bounds, replica_set: &ReplicaSet, deployment_replicas: i32, to_add: i32, added: i32) -> i32 {
    let size = wanted(replica_set);
    if size == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let fraction = if bounds.replicas == 0 {
        -size
    } else {
        let before = annotations::number(replica_set, annotations::MAX_REPLICAS).unwrap_or(deployment_replicas).max(1);
        let grown = f64::from(size) * f64::from(bounds.most()) / f64::from(before);
        grown.round() as i32 - size
    };
    if to_add > 0 { fraction.min(to_add - added) } else { fraction.max(to_add - added) }
}
