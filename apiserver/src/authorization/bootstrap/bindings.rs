//! Who has which of the roles from the start. The bindings of controllers are not here: they follow from their roles.
//!
//! Upstream: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/{policy,namespace_policy}.go
//! Left out: nothing.

use super::{
    Binding,
    To::{Account, Group, User},
};

/// A binding with the name of its role.
const fn bind(role: &'static str, subjects: &'static [super::To]) -> Binding {
    Binding { namespace: "", name: role, role, subjects }
}

pub(super) const BINDINGS: &[Binding] = &[
    bind("cluster-admin", &[Group("system:masters")]),
    bind("system:basic-user", &[Group("system:authenticated")]),
    bind("system:discovery", &[Group("system:authenticated")]),
    bind("system:public-info-viewer", &[Group("system:authenticated"), Group("system:unauthenticated")]),
    bind("system:monitoring", &[Group("system:monitoring")]),
    bind("system:service-account-issuer-discovery", &[Group("system:serviceaccounts")]),
    bind("system:node", &[]),
    bind("system:node-proxier", &[User("system:kube-proxy")]),
    bind("system:kube-controller-manager", &[User("system:kube-controller-manager")]),
    bind("system:kube-dns", &[Account("kube-dns")]),
    bind("system:kube-scheduler", &[User("system:kube-scheduler")]),
    bind("system:volume-scheduler", &[User("system:kube-scheduler")]),
    Binding { namespace: "kube-system", ..bind("system:controller:bootstrap-signer", &[Account("bootstrap-signer")]) },
    Binding { namespace: "kube-system", ..bind("system:controller:cloud-provider", &[Account("cloud-provider")]) },
    Binding { namespace: "kube-system", ..bind("system:controller:token-cleaner", &[Account("token-cleaner")]) },
    Binding {
        namespace: "kube-system",
        name: "system::extension-apiserver-authentication-reader",
        role: "extension-apiserver-authentication-reader",
        subjects: &[User("system:kube-controller-manager"), User("system:kube-scheduler")],
    },
    Binding {
        namespace: "kube-system",
        ..bind(
            "system::leader-locking-kube-controller-manager",
            &[User("system:kube-controller-manager"), Account("kube-controller-manager")],
        )
    },
    Binding {
        namespace: "kube-system",
        ..bind("system::leader-locking-kube-scheduler", &[User("system:kube-scheduler"), Account("kube-scheduler")])
    },
    Binding { namespace: "kube-public", ..bind("system:controller:bootstrap-signer", &[Account("bootstrap-signer")]) },
    // skiff's own: none of its users is in system:masters, which no rule can take anything from.
    Binding {
        namespace: "",
        name: "skiff:cluster-admins",
        role: "cluster-admin",
        subjects: &[Group("skiff:cluster-admins")],
    },
    Binding {
        namespace: "",
        name: "skiff:kube-apiserver-kubelet-client",
        role: "system:kubelet-api-admin",
        subjects: &[User("kube-apiserver-kubelet-client")],
    },
    bind("skiff:dns", &[User("skiff:dns")]),
    Binding { namespace: "kube-system", ..bind("skiff:dns-publisher", &[User("skiff:dns")]) },
    bind("skiff:apiserver", &[User("system:apiserver")]),
];
