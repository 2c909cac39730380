#!/bin/bash
# Shows what a watch says of a pod: held back, run to its end, deleted. What comes between these depends on the moment.
set -e
kubectl run watched --image=busybox:1.36 --restart=Never \
    --overrides='{"spec":{"schedulingGates":[{"name":"example.com/wait"}]}}' -- true > /dev/null
mkfifo pod-events
kubectl get pods watched --watch --output-watch-events --no-headers > pod-events &
watcher=$!
exec 3< pod-events
show() {
    while read -r line <&3; do
        [[ $line == $1* ]] && echo "$line" && return
    done
}
show "ADDED *SchedulingGated"
kubectl patch pod watched --type=json -p '[{"op":"remove","path":"/spec/schedulingGates"}]' > /dev/null
show "MODIFIED *Completed"
kubectl delete pod watched --now > /dev/null
show "DELETED"
kill "$watcher"
