#!/bin/sh
# Fetches the two sources of the schema table with their registries' own clients and writes the table anew.
# Run it in this folder; needs python3 with pip, unzip and cargo. The versions are pinned: a new Kubernetes level is a
# new folder name and new versions here.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip download --quiet --no-deps --dest "$folder" kubernetes-validate==1.37.0
unzip -q "$folder"/kubernetes_validate-*.whl -d "$folder/wheel"
mkdir -p "$folder/crate/src"
printf '[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\nk8s-pb = "=0.9.0"\n' >"$folder/crate/Cargo.toml"
: >"$folder/crate/src/lib.rs"
cargo vendor --quiet --manifest-path "$folder/crate/Cargo.toml" "$folder/vendor" >/dev/null
definitions="$folder/wheel/kubernetes_validate/kubernetes-json-schema/v1.35.0-local/_definitions.json"
python3 generate.py "$definitions" "$folder/vendor/k8s-pb/src" >../src/schema/types.txt
python3 generate.py "$definitions" "$folder/vendor/k8s-pb/src" --messages >../tests/k8s_pb/generated/messages.rs
