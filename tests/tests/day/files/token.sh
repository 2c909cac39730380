#!/bin/bash
# Runs kubectl with a new token of a service account and nothing else, or with a wrong token.
token=wrong
[ "$1" = --wrong ] || token=$(kubectl create token "$1")
shift
server=$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')
kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d > ca.crt
kubectl --kubeconfig=/dev/null --server="$server" --certificate-authority=ca.crt --token="$token" -n "$NS" "$@"
