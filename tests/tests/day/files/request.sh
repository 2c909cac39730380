#!/bin/sh
# Asks for a certificate for alice.csr under this name.
kubectl create -f - <<MANIFEST
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata:
  name: $1
spec:
  request: $(base64 -w 0 < alice.csr)
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
MANIFEST
