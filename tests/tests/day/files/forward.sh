#!/bin/bash
# Forwards a free port to a port of a pod or Service and asks it for the pod's name.
mkfifo lines.$$
kubectl port-forward "$1" ":$2" > lines.$$ &
forward=$!
exec 3< lines.$$
read -r line <&3 || exit 1
echo "$line" | sed 's/127.0.0.1:[0-9]*/127.0.0.1:PORT/'
port=${line#*127.0.0.1:}
exec 4<> "/dev/tcp/127.0.0.1/${port%% *}"
printf 'GET /hostname HTTP/1.0\r\n\r\n' >&4
tail -n 1 <&4
kill "$forward"
