#!/bin/bash
# Shows what a watch says of a ConfigMap that is made, changed and deleted.
set -e
mkfifo events
kubectl get configmaps -l watched --watch --output-watch-events --no-headers > events &
watcher=$!
exec 3< events
changes() {
    kubectl create configmap watched > /dev/null
    kubectl label configmap watched watched=1 > /dev/null
    kubectl patch configmap watched -p '{"data":{"a":"b"}}' > /dev/null
    kubectl delete configmap watched > /dev/null
}
changes &
for _ in 1 2 3; do
    read -r line <&3
    echo "$line"
done
kill "$watcher"
