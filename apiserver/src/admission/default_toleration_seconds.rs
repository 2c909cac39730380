//! A pod stays five minutes on a node that is not ready or unreachable, unless it says otherwise.
//!
//! Upstream: plugin/pkg/admission/defaulttolerationseconds/admission.go
//! Left out: the two flags that change the five minutes.

use api::status::Status;
use serde_json::json;

use super::{Admission, Operation, Request};

const STAY_S: i64 = 300;

pub(super) struct DefaultTolerationSeconds;

impl Admission for DefaultTolerationSeconds {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if !writes || request.subresource_of("", "pods") != Some("") {
            return Ok(());
        }
        let Some(pod) = &mut request.object else { return Ok(()) };
        for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let tolerations = pod["spec"]["tolerations"].as_array().into_iter().flatten();
            let tolerated = tolerations.into_iter().any(|toleration| {
                let text = |field: &str| toleration[field].as_str().unwrap_or_default();
                (text("key").is_empty() || text("key") == taint) && matches!(text("effect"), "" | "NoExecute")
            });
            if tolerated {
                continue;
            }
            let toleration =
                json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": STAY_S});
            match pod["spec"]["tolerations"].as_array_mut() {
                Some(list) => list.push(toleration),
                None => pod["spec"]["tolerations"] = json!([toleration]),
            }
        }
        Ok(())
    }
}
