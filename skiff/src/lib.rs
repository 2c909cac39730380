//! `skiff`: makes, stops and examines a cluster on this machine.
//!
//! Upstream: kubeadm, and what minikube and kind are for
//! Left out: other nodes.

pub mod commands;
pub mod containerd;
pub mod credentials;
pub mod image;
pub mod layout;
pub mod parts;
pub mod process;
pub mod progress;
pub mod settings;
pub mod user_kubeconfig;
pub mod workload;
