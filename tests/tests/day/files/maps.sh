#!/bin/sh
# Makes an empty ConfigMap of each name, with the label made=here.
for name; do
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {made: here}}\n---\n' "$name"
done | kubectl create -f -
