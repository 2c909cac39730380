//! The roles of users, of components and of nodes.
//!
//! Upstream: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/{policy,namespace_policy}.go
//! Left out: rules for the dead group `extensions` and for resources behind alpha gates.

use super::{EVENTS, READ, Role, WRITE, named, on, paths, role};

const TO_ADMIN: &str = "rbac.authorization.k8s.io/aggregate-to-admin";
const TO_EDIT: &str = "rbac.authorization.k8s.io/aggregate-to-edit";
const TO_VIEW: &str = "rbac.authorization.k8s.io/aggregate-to-view";

const CERTIFICATES: &str = "certificates.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) const ROLES: &[Role] = &[
    role("cluster-admin", &[on("*", "*", "*"), super::Grant { verbs: "*", paths: "*", ..paths("") }]),
    // The three roles for users of a namespace. Each gathers what is labelled for it, so custom resources can join.
    Role { aggregates: TO_ADMIN, ..role("admin", &[]) },
    Role { aggregates: TO_EDIT, labels: &[TO_ADMIN], ..role("edit", &[]) },
    Role { aggregates: TO_VIEW, labels: &[TO_EDIT], ..role("view", &[]) },
    Role {
        labels: &[TO_ADMIN],
        ..role(
            "system:aggregate-to-admin",
            &[
                on("create", "authorization.k8s.io", "localsubjectaccessreviews"),
                on("create delete deletecollection get list patch update watch", RBAC, "rolebindings roles"),
            ],
        )
    },
    Role {
        labels: &[TO_EDIT],
        ..role(
            "system:aggregate-to-edit",
            &[
                on(READ, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
                on("impersonate", "core", "serviceaccounts"),
                on(WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
                on("create", "core", "pods/eviction"),
                on(
                    WRITE,
                    "core",
                    "configmaps events persistentvolumeclaims replicationcontrollers \
            replicationcontrollers/scale secrets serviceaccounts services services/proxy",
                ),
                on("create", "core", "serviceaccounts/token"),
                on(
                    WRITE,
                    "apps",
                    "daemonsets deployments deployments/rollback deployments/scale replicasets \
            replicasets/scale statefulsets statefulsets/scale",
                ),
                on(WRITE, "autoscaling", "horizontalpodautoscalers"),
                on(WRITE, "batch", "cronjobs jobs"),
                on(WRITE, "policy", "poddisruptionbudgets"),
                on(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
                on("create delete deletecollection get list patch update watch", "coordination.k8s.io", "leases"),
                on(WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
            ],
        )
    },
    Role {
        labels: &[TO_VIEW],
        ..role(
            "system:aggregate-to-view",
            &[
                on(
                    READ,
                    "core",
                    "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods \
            replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
                ),
                on(
                    READ,
                    "core",
                    "bindings events limitranges namespaces/status pods/log pods/status \
            replicationcontrollers/status resourcequotas resourcequotas/status",
                ),
                on(READ, "core", "namespaces"),
                on(READ, "discovery.k8s.io", "endpointslices"),
                on(
                    READ,
                    "apps",
                    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale \
            deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale \
            statefulsets/status",
                ),
                on(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
                on(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
                on(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
                on(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
                on(READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
            ],
        )
    },
    // What everybody may do.
    role(
        "system:basic-user",
        &[
            on("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
            on("create", "authentication.k8s.io", "selfsubjectreviews"),
        ],
    ),
    role(
        "system:discovery",
        &[paths("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/")],
    ),
    role("system:public-info-viewer", &[paths("/healthz /livez /readyz /version /version/")]),
    role("system:service-account-issuer-discovery", &[paths("/.well-known/openid-configuration /openid/v1/jwks")]),
    role("system:monitoring", &[paths("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*")]),
    // For servers that leave authentication and authorization to this one.
    role(
        "system:auth-delegator",
        &[
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
    ),
    role("system:kube-aggregator", &[on(READ, "core", "endpoints services")]),
    role("system:heapster", &[on(READ, "core", "events namespaces nodes pods")]),
    role("system:kube-dns", &[on("list watch", "core", "endpoints services")]),
    // Certificates.
    role(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[on("create", CERTIFICATES, "certificatesigningrequests/nodeclient")],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[on("create", CERTIFICATES, "certificatesigningrequests/selfnodeclient")],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client")],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client-kubelet")],
    ),
    role(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/kubelet-serving")],
    ),
    role(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/legacy-unknown")],
    ),
    // Nodes. Nobody is bound to system:node: the node authorizer gives a kubelet its part of these rules.
    role(
        "system:node",
        &[
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
            on(READ, "core", "services"),
            on("create get list watch", "core", "nodes"),
            on("patch update", "core", "nodes/status"),
            on("patch update", "core", "nodes"),
            on("create patch update", "core events.k8s.io", "events"),
            on(READ, "core", "pods"),
            on("create delete", "core", "pods"),
            on("patch update", "core", "pods/status"),
            on("create", "core", "pods/eviction"),
            on(READ, "core", "configmaps secrets"),
            on("get", "core", "persistentvolumeclaims persistentvolumes"),
            on("get", "core", "endpoints"),
            on("create get list watch", CERTIFICATES, "certificatesigningrequests"),
            on("create delete get patch update", "coordination.k8s.io", "leases"),
            on("get", "storage.k8s.io", "volumeattachments"),
            on("create", "core", "serviceaccounts/token"),
            on("get patch update", "core", "persistentvolumeclaims/status"),
            on(READ, "storage.k8s.io", "csidrivers"),
            on("create delete get patch update", "storage.k8s.io", "csinodes"),
            on(READ, "node.k8s.io", "runtimeclasses"),
        ],
    ),
    role("system:node-bootstrapper", &[on("create get list watch", CERTIFICATES, "certificatesigningrequests")]),
    role("system:node-problem-detector", &[on("get", "core", "nodes"), on("patch", "core", "nodes/status"), EVENTS]),
    role(
        "system:kubelet-api-admin",
        &[
            on(READ, "core", "nodes"),
            on("proxy", "core", "nodes"),
            on("*", "core", "nodes/log nodes/metrics nodes/proxy nodes/stats"),
            // The fine-grained subresources of a kubelet's paths.
            on("*", "core", "nodes/configz nodes/healthz nodes/pods"),
        ],
    ),
    role(
        "system:node-proxier",
        &[
            on("list watch", "core", "endpoints services"),
            on(READ, "core", "nodes"),
            EVENTS,
            on("list watch", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    // skiff's own: the DNS of each node answers for Services, and only for namespaces that exist.
    role(
        "skiff:dns",
        &[
            on("list watch", "core", "namespaces nodes services"),
            on("list watch", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    // skiff's own: and it says where it is.
    Role {
        namespace: "kube-system",
        ..role(
            "skiff:dns-publisher",
            &[on("create", "core", "services"), on("create delete patch", "discovery.k8s.io", "endpointslices")],
        )
    },
    // skiff's own: the API server's own controllers. Upstream's loopback client is in system:masters instead.
    role(
        "skiff:apiserver",
        &[
            on(
                "bind create delete escalate get list patch update watch",
                RBAC,
                "clusterrolebindings clusterroles rolebindings roles",
            ),
            on("create get list watch", "core", "namespaces"),
            on("create get list patch update watch", "core", "configmaps endpoints services"),
            on("update", "core", "services/finalizers"),
            on("create delete get list patch update watch", "discovery.k8s.io", "endpointslices"),
            on("create delete get list patch update watch", "coordination.k8s.io", "leases"),
            on("create get list patch update watch", "scheduling.k8s.io", "priorityclasses"),
            on("create get list patch update watch", "networking.k8s.io", "servicecidrs servicecidrs/status"),
            on(
                "create get list patch update watch",
                "flowcontrol.apiserver.k8s.io",
                "flowschemas flowschemas/status prioritylevelconfigurations prioritylevelconfigurations/status",
            ),
            on(
                "get list patch update watch",
                "apiextensions.k8s.io",
                "customresourcedefinitions customresourcedefinitions/status",
            ),
            on("create delete get list patch update watch", "apiregistration.k8s.io", "apiservices apiservices/status"),
            // Custom resources go with their definition.
            on("delete deletecollection get list watch", "*", "*"),
            EVENTS,
        ],
    ),
    // Components.
    role(
        "system:kube-controller-manager",
        &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            named("get patch update", "coordination.k8s.io", "leases", "kube-controller-manager"),
            on("create", "core", "secrets serviceaccounts"),
            on("delete", "core", "secrets"),
            on("get", "core", "configmaps namespaces secrets serviceaccounts"),
            on("update", "core", "secrets serviceaccounts"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on("list watch", "*", "*"),
            on("create", "core", "serviceaccounts/token"),
        ],
    ),
    role(
        "system:kube-scheduler",
        &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            named("get patch update", "coordination.k8s.io", "leases", "kube-scheduler"),
            on(READ, "core", "nodes"),
            on("delete get list watch", "core", "pods"),
            on("create", "core", "bindings pods/binding"),
            on("patch update", "core", "pods/status"),
            on(READ, "core", "replicationcontrollers services"),
            on(READ, "apps", "replicasets"),
            on(READ, "apps", "statefulsets"),
            on(READ, "policy", "poddisruptionbudgets"),
            on(READ, "core", "persistentvolumeclaims persistentvolumes"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on(READ, "storage.k8s.io", "csinodes"),
            on(READ, "core", "namespaces"),
            on(READ, "storage.k8s.io", "csidrivers"),
            on(READ, "storage.k8s.io", "csistoragecapacities"),
        ],
    ),
    role(
        "system:volume-scheduler",
        &[
            on("get list patch update watch", "core", "persistentvolumes"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("get list patch update watch", "core", "persistentvolumeclaims"),
        ],
    ),
    role(
        "system:persistent-volume-provisioner",
        &[
            on("create delete get list watch", "core", "persistentvolumes"),
            on("get list update watch", "core", "persistentvolumeclaims"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("watch", "core", "events"),
            EVENTS,
        ],
    ),
    // Namespaced roles.
    Role {
        namespace: "kube-system",
        ..role(
            "extension-apiserver-authentication-reader",
            &[named(READ, "core", "configmaps", "extension-apiserver-authentication")],
        )
    },
    Role { namespace: "kube-system", ..role("system:controller:bootstrap-signer", &[on(READ, "core", "secrets")]) },
    Role {
        namespace: "kube-system",
        ..role("system:controller:cloud-provider", &[on("create get list watch", "core", "configmaps")])
    },
    Role {
        namespace: "kube-system",
        ..role("system:controller:token-cleaner", &[on("delete get list watch", "core", "secrets"), EVENTS])
    },
    Role {
        namespace: "kube-system",
        ..role(
            "system::leader-locking-kube-controller-manager",
            &[on("watch", "core", "configmaps"), named("get update", "core", "configmaps", "kube-controller-manager")],
        )
    },
    Role {
        namespace: "kube-system",
        ..role(
            "system::leader-locking-kube-scheduler",
            &[on("watch", "core", "configmaps"), named("get update", "core", "configmaps", "kube-scheduler")],
        )
    },
    Role {
        namespace: "kube-public",
        ..role(
            "system:controller:bootstrap-signer",
            &[on(READ, "core", "configmaps"), named("update", "core", "configmaps", "cluster-info"), EVENTS],
        )
    },
];
