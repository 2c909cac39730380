//! The rows that say who may do what: rbac.authorization.k8s.io, certificates.k8s.io, and the reviews.
//!
//! Upstream: pkg/registry/{rbac,certificates,authentication,authorization}/rest
//! Left out: cluster trust bundles (beta).

use std::sync::Arc;

use crate::{
    row::{Row, Subresource::*},
    strategy::{certificate_request, rbac},
};

use super::{cluster_scoped, create_only, field, names, namespaced, print};

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row { create_on_update: true, strategy: Arc::new(rbac::Roles), ..namespaced(RBAC, "v1", "Role", "roles") },
        Row {
            create_on_update: true,
            strategy: Arc::new(rbac::Bindings),
            ..namespaced(RBAC, "v1", "RoleBinding", "rolebindings")
        }
        .shown_as(print::access::BINDINGS),
        Row {
            create_on_update: true,
            strategy: Arc::new(rbac::Roles),
            ..cluster_scoped(RBAC, "v1", "ClusterRole", "clusterroles")
        },
        Row {
            create_on_update: true,
            strategy: Arc::new(rbac::Bindings),
            ..cluster_scoped(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings")
        }
        .shown_as(print::access::BINDINGS),
        Row {
            short_names: names(&["csr"]),
            subresources: vec![Status, Approval],
            selectable_fields: vec![field!("spec.signerName")],
            lies_idle: true,
            strategy: Arc::new(certificate_request::CertificateRequests),
            ..cluster_scoped("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests")
        }
        .shown_as(print::access::CERTIFICATE_SIGNING_REQUESTS),
        create_only(cluster_scoped(AUTHENTICATION, "v1", "TokenReview", "tokenreviews")),
        create_only(cluster_scoped(AUTHENTICATION, "v1", "SelfSubjectReview", "selfsubjectreviews")),
        create_only(namespaced(AUTHORIZATION, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")),
        create_only(cluster_scoped(AUTHORIZATION, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")),
        create_only(cluster_scoped(AUTHORIZATION, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews")),
        create_only(cluster_scoped(AUTHORIZATION, "v1", "SubjectAccessReview", "subjectaccessreviews")),
    ]
}
