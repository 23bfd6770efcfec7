#!/usr/bin/env bash
# Run a command where folders look empty, but for those below them that are given back:
#   unshare --mount tests/apart.sh HIDDEN:HIDDEN SHOWN:SHOWN COMMAND...
set -euo pipefail
IFS=: read -ra hidden <<<"$1"
IFS=: read -ra shown <<<"$2"
shift 2

mount -t tmpfs tmpfs /mnt # holds what is shown while what is above it is covered
for number in "${!shown[@]}"; do
    mkdir "/mnt/$number"
    mount --rbind "${shown[number]}" "/mnt/$number"
done
for folder in "${hidden[@]}"; do
    mount -t tmpfs tmpfs "$folder"
done
for number in "${!shown[@]}"; do
    mkdir -p "${shown[number]}"
    mount --rbind "/mnt/$number" "${shown[number]}"
done
cd "$PWD" # the folder that this process is in is still the covered one
exec "$@"
