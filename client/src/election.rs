//! Leader election: of several processes of one component, one acts. The one whose name is in a Lease.
//!
//! Times are measured with our own clock from when *we* saw the Lease change; the times written in it are for people.
//!
//! Upstream: client-go/tools/leaderelection
//! Left out: coordinated election (LeaseCandidates), other locks than Lease.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{EventType, Recorder, Term};

/// Who stands for election, and for which Lease.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub namespace: String,
    /// The Lease's name, which is the component's: `kube-scheduler`.
    pub name: String,
    /// This process among its kind: the host's name and something random.
    pub identity: String,
    pub lease_duration: Duration,
    /// A leader that could not renew for this long stops.
    pub renew_deadline: Duration,
    pub retry_period: Duration,
    /// Is 1 while this process leads.
    pub leads: Gauge,
}

impl Candidate {
    /// A candidate in kube-system with upstream's times: 15, 10 and 2 seconds.
    pub fn new(name: &str, identity: &str) -> Candidate {
        Candidate {
            namespace: "kube-system".into(),
            name: name.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            leads: Gauge::default(),
        }
    }
}

/// Leadership was lost to another, or could not be renewed. The process should end and start anew.
#[derive(Debug, thiserror::Error)]
#[error("leader election lost")]
pub struct Lost;

/// Waits to be elected, then runs `work` for as long as we lead, and gives the Lease back on `shutdown`.
///
/// `work` gets a token that is cancelled when it must stop, for whichever reason, and the term that its clients must
/// write in ([`Term::fenced`]): what it sends late is then refused.
///
/// # Errors
/// [`Lost`] when somebody else leads now, or may.
pub async fn lead<F>(
    client: Client,
    candidate: Candidate,
    shutdown: CancellationToken,
    work: impl FnOnce(CancellationToken, Term) -> F,
) -> Result<(), Lost>
where
    F: Future<Output = ()>,
{
    let mut election = Election {
        leases: Api::namespaced(client.clone(), &candidate.namespace),
        recorder: Recorder::new(client, &candidate.name),
        candidate,
        seen: None,
    };
    tokio::select! {
        _ = election.acquire() => {}
        _ = shutdown.cancelled() => return Ok(()),
    }
    let leads = election.candidate.leads.clone();
    leads.set(1);
    let stop = CancellationToken::new();
    let work = work(stop.clone(), election.term());
    tokio::pin!(work);
    let lost = tokio::select! {
        _ = &mut work => false,
        _ = shutdown.cancelled() => false,
        _ = election.keep() => true,
    };
    stop.cancel();
    if lost {
        leads.set(0);
        warn!(lease = election.candidate.name, "leadership lost");
        return Err(Lost);
    }
    // Still renewing while the work winds down: nobody else may begin before it has ended.
    tokio::select! {
        _ = &mut work => {}
        _ = election.keep() => {
            leads.set(0);
            return Err(Lost);
        }
    }
    leads.set(0);
    election.release().await;
    Ok(())
}

struct Election {
    leases: Api<Lease>,
    recorder: Recorder,
    candidate: Candidate,
    /// The Lease as last seen, and when it was first seen like this.
    seen: Option<(Lease, Instant)>,
}

/// What a candidate does about the Lease.
#[derive(Debug, PartialEq)]
enum Step {
    Create,
    /// Write it, with these fields.
    Write(Value),
    /// Another leads.
    Wait,
}

impl Election {
    async fn acquire(&mut self) {
        loop {
            match self.step().await {
                Ok(true) => break,
                Ok(false) => debug!(lease = self.candidate.name, "somebody else leads"),
                Err(error) => warn!(lease = self.candidate.name, %error, "cannot stand for election, will retry"),
            }
            tokio::time::sleep(self.candidate.retry_period.mul_f64(1.0 + fastrand::f64() * 0.2)).await;
        }
        info!(lease = self.candidate.name, identity = self.candidate.identity, "became leader");
        let regarding = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".into()),
            kind: Some("Lease".into()),
            namespace: Some(self.candidate.namespace.clone()),
            name: Some(self.candidate.name.clone()),
            uid: self.seen.as_ref().and_then(|(lease, _)| lease.metadata.uid.clone()),
            ..ObjectReference::default()
        };
        let message = format!("{} became leader", self.candidate.identity);
        self.recorder.record(regarding, EventType::Normal, "LeaderElection", &message);
    }

    /// The term that the Lease as last seen says is on.
    fn term(&self) -> Term {
        self.seen.as_ref().map(|(lease, _)| Term::of(lease)).unwrap_or_else(|| Term::of(&Lease::default()))
    }

    /// Renews until that has failed for the renew deadline, or it is another term: somebody deleted the Lease.
    async fn keep(&mut self) {
        let term = self.term();
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.candidate.retry_period).await;
            let deadline = renewed + self.candidate.renew_deadline;
            match tokio::time::timeout_at(deadline, self.step()).await {
                Ok(Ok(true)) if self.term() == term => renewed = Instant::now(),
                Ok(Ok(_)) => return,
                Ok(Err(error)) => warn!(lease = self.candidate.name, %error, "cannot renew, will retry"),
                Err(_) => return,
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// One try to get or renew the Lease; false when somebody else leads.
    async fn step(&mut self) -> Result<bool, kube::Error> {
        let lease = self.leases.get_opt(&self.candidate.name).await?;
        let elapsed = self.observe(lease.as_ref());
        let written = match step(lease.as_ref(), elapsed, &self.candidate, Timestamp::now()) {
            Step::Wait => return Ok(false),
            Step::Create => self.leases.create(&PostParams::default(), &self.new_lease()).await,
            Step::Write(patch) => self.write(&patch).await,
        };
        match written {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                Ok(true)
            }
            // Somebody was quicker. Who, the next look will tell.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(self.holds()),
            Err(error) => Err(error),
        }
    }

    /// A lost race says nothing yet about who leads: a leader stays one until its deadline.
    fn holds(&self) -> bool {
        let holder = self.seen.as_ref().and_then(|(lease, _)| lease.spec.as_ref()?.holder_identity.as_deref());
        holder == Some(self.candidate.identity.as_str())
    }

    /// Notes the Lease and tells for how long it has been as it is.
    fn observe(&mut self, lease: Option<&Lease>) -> Duration {
        let Some(lease) = lease else { return Duration::ZERO };
        match &self.seen {
            Some((seen, since)) if seen.metadata.resource_version == lease.metadata.resource_version => since.elapsed(),
            _ => {
                self.seen = Some((lease.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    async fn write(&self, patch: &Value) -> Result<Lease, kube::Error> {
        self.leases.patch(&self.candidate.name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    fn new_lease(&self) -> Lease {
        let now = Timestamp::now();
        Lease {
            metadata: ObjectMeta {
                namespace: Some(self.candidate.namespace.clone()),
                name: Some(self.candidate.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.candidate.identity.clone()),
                lease_duration_seconds: Some(self.candidate.lease_duration.as_secs() as i32),
                acquire_time: Some(MicroTime(now)),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Lets another take over at once.
    async fn release(&self) {
        let Some((lease, _)) = &self.seen else { return };
        let patch = json!({
            "metadata": {"resourceVersion": lease.metadata.resource_version},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": MicroTime(Timestamp::now())},
        });
        match tokio::time::timeout(self.candidate.retry_period, self.write(&patch)).await {
            Ok(Ok(_)) => info!(lease = self.candidate.name, "gave leadership back"),
            _ => warn!(lease = self.candidate.name, "could not give leadership back, it will run out"),
        }
    }
}

/// Decides what to do about a Lease that has been as it is for `unchanged`.
fn step(lease: Option<&Lease>, unchanged: Duration, candidate: &Candidate, now: Timestamp) -> Step {
    let Some(lease) = lease else { return Step::Create };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.unwrap_or_default();
    let is_ours = holder == candidate.identity;
    let duration = Duration::from_secs(spec.lease_duration_seconds.unwrap_or(0).max(0) as u64);
    if !is_ours && !holder.is_empty() && unchanged < duration {
        return Step::Wait;
    }
    let mut fields = json!({
        "holderIdentity": candidate.identity,
        "leaseDurationSeconds": candidate.lease_duration.as_secs(),
        "renewTime": MicroTime(now),
    });
    if !is_ours {
        fields["acquireTime"] = json!(MicroTime(now));
        fields["leaseTransitions"] = (spec.lease_transitions.unwrap_or(0) + 1).into();
    }
    // The revision makes it a compare-and-swap: of two candidates one wins.
    Step::Write(json!({"metadata": {"resourceVersion": lease.metadata.resource_version}, "spec": fields}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta { resource_version: Some("7".into()), ..ObjectMeta::default() };
        Lease { metadata, spec: Some(spec) }
    }

    fn decide(holder: &str, unchanged_seconds: u64) -> Step {
        let candidate = Candidate::new("kube-scheduler", "me");
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        step(Some(&lease(holder)), Duration::from_secs(unchanged_seconds), &candidate, now)
    }

    #[test]
    fn a_leader_that_renews_is_left_alone() {
        assert_eq!(decide("other", 14), Step::Wait);
    }

    #[test]
    fn a_lease_that_ran_out_changes_hands_at_the_revision_we_saw() {
        let Step::Write(patch) = decide("other", 15) else { panic!("waits") };
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["spec"]["holderIdentity"], "me");
        assert_eq!(patch["spec"]["leaseTransitions"], 4);
    }

    #[test]
    fn renewing_our_own_lease_is_no_transition() {
        let Step::Write(patch) = decide("me", 2) else { panic!("waits") };
        assert_eq!(patch["spec"]["leaseTransitions"], Value::Null);
        assert_eq!(patch["spec"]["renewTime"], "2026-01-02T03:04:05.000000Z");
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once() {
        assert!(matches!(decide("", 0), Step::Write(_)));
    }
}
