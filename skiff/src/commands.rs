//! The commands of `skiff`, a file each.
//!
//! Upstream: cmd/kubeadm/app/cmd

pub mod delete;
pub mod doctor;
pub mod down;
pub mod image;
pub mod kubeconfig;
pub mod serve;
pub mod status;
pub mod up;
